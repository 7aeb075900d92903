package devices

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gateway"
)

// waitUntil goes on to a time of the timeline, by synctest's clock.
func waitUntil(w *wires, at time.Duration) {
	pause(context.Background(), at-time.Since(w.begin))
	synctest.Wait()
}

func TestCommandsDriveTheLine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t)
		m := newOutputMemory()
		all := mustOutputs(t, w, m, OutputOptions{}, outputSpec("pump", nil))
		wantLines(t, "start", w.take(), "0s pump output off")
		sendOK(t, all, "pump", 1, "on", "off", "toggle", "toggle", "pulse 2s")
		waitUntil(w, 10*time.Second)
		wantLines(t, "commands", w.take(), "0s pump on", "0s pump off", "0s pump on", "0s pump off", "0s pump on", "2s pump off")
		sendOK(t, all, "pump", 6, "blink 500ms 250ms 3")
		waitUntil(w, 20*time.Second)
		wantLines(t, "blink", w.take(), "10s pump on", "10.5s pump off", "10.75s pump on", "11.25s pump off", "11.5s pump on", "12s pump off")
		sendOK(t, all, "pump", 7, "pwm 40% 10s")
		waitUntil(w, 45*time.Second)
		sendOK(t, all, "pump", 8, "pwm 0% 1s")
		waitUntil(w, 60*time.Second)
		wantLines(t, "pwm", w.take(), "20s pump on", "24s pump off", "30s pump on", "34s pump off", "40s pump on", "44s pump off", "45s pump off")
		sendOK(t, all, "pump", 9, "blink 1s 1s 100", "pulse 3s", "pwm 100% 1s")
		waitUntil(w, 70*time.Second)
		sendOK(t, all, "pump", 12, "pulse 5s")
		waitUntil(w, 72*time.Second)
		if err := all.Set(t.Context(), "pump", "on"); err != nil {
			t.Fatal(err)
		}
		waitUntil(w, 90*time.Second)
		wantLines(t, "a new command ends the old pattern", w.take(), "1m0s pump on", "1m0s pump on", "1m0s pump on", "1m10s pump on", "1m12s pump on")
		if m.commits != 12 {
			t.Errorf("got %d syncs for 12 commands and one by hand, want 12", m.commits)
		}
	})
}

func TestPatternsKeepTheirBeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t)
		all := mustOutputs(t, w, newOutputMemory(), OutputOptions{}, outputSpec("led", nil), outputSpec("slow", nil))
		hang := make(chan struct{})
		w.set("slow", func(s *wireState) { s.hang = hang })
		slow := make(chan error, 1)
		go func() { slow <- send(all, "slow", command(1, "on")) }()
		sendOK(t, all, "led", 2, "pwm 50% 20ms")
		waitUntil(w, 5*time.Minute+5*time.Millisecond)
		if got, want := len(w.take()), 2+30_001; got != want {
			t.Errorf("got %d changes in 5 minutes of 20 ms each beside a line that hangs, want %d", got, want)
		}
		close(hang)
		if err := <-slow; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want that the line did not answer in time", err)
		}
	})
}

func TestALatePatternLeavesNothingOut(t *testing.T) {
	t.Parallel()
	start := time.Unix(0, 0)
	p, on := newPattern(Command{Do: DoBlink, On: time.Second, Off: time.Second, Times: 3}, start)
	flashes, now := 0, start
	for ended := false; !ended; {
		now = now.Add(10 * time.Second)
		if on {
			flashes++
		}
		ended = p.step(now)
		on = p.level
	}
	if flashes != 3 || now != start.Add(50*time.Second) {
		t.Errorf("got %d flashes by %v, want 3 by 50 s", flashes, now)
	}
}

func TestACommandIsCarriedOutOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, m := newWires(t), newOutputMemory()
		first := mustOutputs(t, w, m, OutputOptions{}, outputSpec("pump", nil))
		batch := []gateway.Entry{command(10, "toggle"), command(11, "toggle"), command(12, "toggle")}
		for range 3 {
			if err := send(first, "pump", batch...); err != nil {
				t.Fatal(err)
			}
		}
		wantLines(t, "three times the same", w.take(), "0s pump output off", "0s pump on", "0s pump off", "0s pump on")
		m.flush()
		halt(t, first)
		second := mustOutputs(t, w.again(), m, OutputOptions{}, outputSpec("pump", nil))
		if err := send(second, "pump", batch...); err != nil {
			t.Fatal(err)
		}
		sendOK(t, second, "pump", 5, "on") // of a lower priority: a lower offset
		wantLines(t, "after a restart", w.take(), "0s pump output off", "0s pump on")

		halt(t, second)
		m.crash() // before the log wrote that the last was done
		third := mustOutputs(t, w.again(), m, OutputOptions{}, outputSpec("pump", func(s *Spec) { s.Start = OutputKeep }))
		for range 2 {
			err := send(third, "pump", append(batch, command(5, "on"), command(13, "on"))...)
			var parts *gateway.BatchError
			if !errors.As(err, &parts) || parts.Errors[0] != nil || parts.Errors[2] != nil || parts.Errors[4] != nil {
				t.Fatalf("got %v, want only the event at 5 to fail", err)
			}
			if err := parts.Errors[3]; !errors.Is(err, gateway.ErrUnknown) || !errors.Is(err, gateway.ErrPermanent) {
				t.Errorf("got %v, want a permanent unknown", err)
			}
		}
		wantLines(t, "after a crash", w.take(), "0s pump output off", "0s pump on")
	})
}

// again is a new process with the same wires.
func (w *wires) again() *wires {
	w.dies(nil)
	return w
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, m := newWires(t), newOutputMemory()
		all := mustOutputs(t, w, m, OutputOptions{}, outputSpec("pump", nil))
		sendOK(t, all, "pump", 1000, strings.Fields(strings.Repeat("on off ", 135))...)
		w.take()
		replay := command(2000, "on")
		replay.Event.Extensions = map[string]string{gateway.ExtReplay: "1"}
		for want, e := range map[string]gateway.Entry{"never carried out twice": replay, "too old": command(1000, "on"), `"fly" is no command`: command(2001, "fly")} {
			err := send(all, "pump", e)
			var parts *gateway.BatchError
			if !errors.As(err, &parts) || !errors.Is(parts.Errors[0], gateway.ErrPermanent) || !strings.Contains(parts.Errors[0].Error(), want) || errors.Is(parts.Errors[0], gateway.ErrUnknown) {
				t.Errorf("got %v, want it refused with %q", err, want)
			}
		}
		if _, err := all.Sink("lamp"); err == nil {
			t.Error("got a sink for an output that is not there")
		}
		if err := all.Set(t.Context(), "lamp", "on"); err == nil {
			t.Error("an output that is not there was set")
		}
		if err := all.Set(t.Context(), "pump", "fly"); err == nil {
			t.Error("an output was told to fly")
		}
		wantLines(t, "refused", w.take())
	})
}

func TestNothingActsBeforeItsIntentIsDurable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, m := newWires(t), newOutputMemory()
		all := mustOutputs(t, w, m, OutputOptions{}, outputSpec("pump", nil))
		w.take()
		m.err = errors.New("the card is full")
		err := send(all, "pump", command(1, "on"), command(2, "off"))
		if err == nil || errors.Is(err, gateway.ErrPermanent) || !strings.Contains(err.Error(), "the card is full") {
			t.Errorf("got %v, want an error that is retried", err)
		}
		wantLines(t, "no intent", w.take())
		if err := all.Set(t.Context(), "pump", "on"); err != nil {
			t.Errorf("by hand: got %v, want it carried out without the log", err)
		}
		w.take()
		m.err = nil
		m.before = func() {
			if got := w.take(); len(got) > 0 {
				t.Errorf("got %v before the commit", got)
			}
		}
		sendOK(t, all, "pump", 1, "off") // as the forwarder sends again: none was carried out before
		wantLines(t, "at last", w.take(), "0s pump off")
		sendOK(t, all, "pump", 2, "on")
		wantLines(t, "at last", w.take(), "0s pump on")
	})
}

func TestACommandWhoseSenderGaveUpIsCarriedOutOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, m := newWires(t), newOutputMemory()
		all := mustOutputs(t, w, m, OutputOptions{}, outputSpec("pump", nil))
		hang := make(chan struct{})
		w.set("pump", func(s *wireState) { s.hang = hang })
		s, err := all.Sink("pump")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Send(ctx, []gateway.Entry{command(1, "on")}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
		go func() { pause(context.Background(), time.Minute); close(hang) }()
		for err = errors.New("not yet"); err != nil; { // waits for the first, and knows it
			if err = send(all, "pump", command(1, "on")); errors.Is(err, gateway.ErrPermanent) {
				t.Fatal(err)
			}
		}
		wantLines(t, "once", w.take(), "0s pump output off", "1m1s pump on")
	})
}

func TestAfterCloseNothingIsTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, m := newWires(t), newOutputMemory()
		all := mustOutputs(t, w, m, OutputOptions{}, outputSpec("pump", nil))
		if err := errors.Join(all.Close(false), all.Close(false)); err != nil {
			t.Fatal(err)
		}
		if err := send(all, "pump", command(1, "on")); !errors.Is(err, gateway.ErrClosed) || errors.Is(err, gateway.ErrPermanent) {
			t.Errorf("got %v, want that it is closed", err)
		}
		if err := all.Set(t.Context(), "pump", "on"); !errors.Is(err, gateway.ErrClosed) {
			t.Errorf("got %v, want that it is closed", err)
		}
		if err := all.Change([]Spec{outputSpec("pump", nil)}); !errors.Is(err, gateway.ErrClosed) {
			t.Errorf("got %v, want that it is closed", err)
		}
		wantLines(t, "closed", w.take(), "0s pump output off", "0s pump close")
	})
}

func TestALargeBatchIsTakenInParts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t)
		all := mustOutputs(t, w, newOutputMemory(), OutputOptions{}, outputSpec("pump", nil))
		batch := make([]gateway.Entry, 2*mostAtOnce+1)
		for i := range batch {
			batch[i] = command(gateway.Offset(i+1), "toggle")
		}
		for part := 0; len(batch) > 0; part++ {
			err := send(all, "pump", batch...)
			var parts *gateway.BatchError
			var more *gateway.RetryAfter
			n := min(mostAtOnce, len(batch))
			if n == len(batch) {
				if err != nil {
					t.Error(err)
				}
				break
			}
			if !errors.As(err, &parts) || len(parts.Errors) != len(batch) || parts.Errors[n-1] != nil || !errors.As(parts.Errors[n], &more) {
				t.Fatalf("part %d: got %v, want %d delivered and the rest later", part, err, n)
			}
			batch = batch[n:]
		}
		if got := len(w.take()); got != 2*mostAtOnce+2 {
			t.Errorf("got %d levels, want each command once", got-1)
		}
	})
}

func TestALogThatHangsKeepsNoOutputFromItsSafeState(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, m := newWires(t), newOutputMemory()
		all := mustOutputs(t, w, m, OutputOptions{}, outputSpec("max", func(s *Spec) { s.MaxOn = time.Minute }), outputSpec("hand", nil), outputSpec("stop", nil))
		hang, results := make(chan struct{}), make(chan error, 3)
		for i, name := range []string{"max", "hand", "stop"} {
			sendOK(t, all, name, gateway.Offset(i+1), "on")
		}
		w.take()
		m.before = func() { <-hang }
		for i, name := range []string{"max", "hand", "stop"} {
			go func() { results <- send(all, name, command(gateway.Offset(i+10), "on")) }()
		}
		waitUntil(w, 10*time.Second)
		if err := all.Set(t.Context(), "hand", "off"); err != nil {
			t.Error(err)
		}
		waitUntil(w, 2*time.Minute)
		if err := all.Close(false); err != nil {
			t.Error(err)
		}
		wantLines(t, "while the log hangs", w.take(), "10s hand off", "1m0s max off", "2m0s stop off", "2m0s max close", "2m0s hand close", "2m0s stop close")
		close(hang)
		for range 3 {
			if err := <-results; err == nil || errors.Is(err, gateway.ErrPermanent) {
				t.Errorf("got %v, want it to be tried again", err)
			}
		}
		// None of them was begun, and the memory says so when the log has taken what was noted.
		m.flush()
		for _, name := range []string{"max", "hand", "stop"} {
			value, err := m.Get("output/" + name)
			if err != nil {
				t.Fatal(err)
			}
			j, err := readJournal(value)
			if err != nil || j.interrupted != nil || j.On || len(j.Ring) != 1 {
				t.Errorf("%s: got %+v and %v, want one command, and off", name, j, err)
			}
		}
	})
}

func TestACommandIsNotCarriedOutLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, m := newWires(t), newOutputMemory()
		all := mustOutputs(t, w, m, OutputOptions{}, outputSpec("pump", nil))
		w.take()
		m.before = func() { pause(t.Context(), 2*time.Second) }
		err := send(all, "pump", command(1, "on"), command(2, "off"), command(3, "on"), command(4, "off"))
		var parts *gateway.BatchError
		if !errors.As(err, &parts) || parts.Errors[1] != nil || parts.Errors[2] == nil || errors.Is(parts.Errors[2], gateway.ErrPermanent) || parts.Errors[3] == nil {
			t.Errorf("got %v, want two delivered in time, and the others tried again", err)
		}
		wantLines(t, "a slow log", w.take(), "2s pump on", "4s pump off")
		m.before = func() { pause(t.Context(), time.Minute) }
		if err := send(all, "pump", command(3, "on")); err == nil || errors.Is(err, gateway.ErrPermanent) {
			t.Errorf("got %v, want it tried again", err)
		}
		wantLines(t, "a log that hangs", w.take())
		m.before = nil
		sendOK(t, all, "pump", 3, "on")
		wantLines(t, "at last", w.take(), "1m6s pump on")
	})
}

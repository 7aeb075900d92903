package devices

import (
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gateway"
	"gateway/devices/gpiochip"

	"pgregory.net/rapid"
)

func TestStartAndStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t)
		specs := []Spec{
			outputSpec("a", nil), outputSpec("b", func(s *Spec) { s.Safe = OutputOn }), outputSpec("c", func(s *Spec) { s.Stop = OutputKeep }),
			outputSpec("d", func(s *Spec) { s.Stop = OutputKeep }), outputSpec("low", func(s *Spec) { s.Invert = true }),
		}
		all := mustOutputs(t, w, newOutputMemory(), OutputOptions{}, specs...)
		wantLines(t, "start", w.take(), "0s a output off", "0s b output on", "0s c output off", "0s d output off", "0s low output on")
		sendOK(t, all, "a", 1, "on")
		sendOK(t, all, "b", 2, "off")
		sendOK(t, all, "c", 3, "on")
		sendOK(t, all, "d", 4, "pwm 50% 1m")
		sendOK(t, all, "low", 5, "on")
		w.take()
		if err := all.Close(true); err != nil {
			t.Fatal(err)
		}
		got := w.take()
		safe, closed := got[:4], got[4:]
		slices.Sort(safe)
		wantLines(t, "safe first", safe, "0s a off", "0s b on", "0s d off", "0s low on")
		wantLines(t, "then closed", closed, "0s a close", "0s b close", "0s c close", "0s d close", "0s low close")
		if !w.on("c") {
			t.Error("c is off, want it kept")
		}
	})
}

func TestCloseWithoutKeepingIsSafe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t)
		all := mustOutputs(t, w, newOutputMemory(), OutputOptions{}, outputSpec("a", func(s *Spec) { s.Stop = OutputKeep }))
		sendOK(t, all, "a", 1, "on")
		if err := all.Close(false); err != nil {
			t.Fatal(err)
		}
		wantLines(t, "stop", w.take(), "0s a output off", "0s a on", "0s a off", "0s a close")
	})
}

func TestWatchdogAndMaxOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t)
		all := mustOutputs(t, w, newOutputMemory(), OutputOptions{},
			outputSpec("dog", func(s *Spec) { s.Watchdog = time.Minute; s.Safe = OutputOn }), outputSpec("max", func(s *Spec) { s.MaxOn = 10 * time.Second }))
		sendOK(t, all, "dog", 1, "off")
		waitUntil(w, 50*time.Second)
		sendOK(t, all, "dog", 2, "off")
		waitUntil(w, 5*time.Minute)
		wantLines(t, "watchdog", w.take(), "0s dog output on", "0s max output off", "0s dog off", "50s dog off", "1m50s dog on")

		sendOK(t, all, "max", 3, "on")
		waitUntil(w, 5*time.Minute+8*time.Second)
		sendOK(t, all, "max", 4, "on", "pulse 1h") // no more time for that
		waitUntil(w, 10*time.Minute)
		sendOK(t, all, "max", 6, "pwm 50% 8s")
		waitUntil(w, 20*time.Minute)
		sendOK(t, all, "max", 7, "blink 4s 1s 100")
		waitUntil(w, 30*time.Minute)
		sendOK(t, all, "max", 8, "on")
		waitUntil(w, 30*time.Minute+5*time.Second)
		sendOK(t, all, "max", 9, "off", "on") // a new time
		waitUntil(w, 40*time.Minute)
		wantLines(t, "max_on", w.take(), "5m0s max on", "5m8s max on", "5m8s max on", "5m10s max off",
			"10m0s max on", "10m4s max off", "10m8s max on", "10m10s max off",
			"20m0s max on", "20m4s max off", "20m5s max on", "20m9s max off", "20m10s max off",
			"30m0s max on", "30m5s max off", "30m5s max on", "30m15s max off")
	})
}

func TestTheLinkIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t)
		var downAt time.Duration // zero: it is up
		link := func(name string) (time.Time, bool) {
			if name != "uplink" {
				t.Errorf("got asked for %q", name)
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.begin.Add(downAt), downAt > 0
		}
		set := func(at time.Duration) {
			w.mu.Lock()
			defer w.mu.Unlock()
			downAt = at
		}
		all := mustOutputs(t, w, newOutputMemory(), OutputOptions{LinkDown: link},
			outputSpec("pump", func(s *Spec) { s.Down = "uplink"; s.DownFor = 30 * time.Second }))
		sendOK(t, all, "pump", 1, "on")
		waitUntil(w, 10*time.Minute)
		set(10 * time.Minute)
		waitUntil(w, 10*time.Minute+20*time.Second)
		set(0)
		waitUntil(w, 11*time.Minute)
		wantLines(t, "a short one", w.take(), "0s pump output off", "0s pump on")
		set(11 * time.Minute)
		waitUntil(w, 12*time.Minute)
		sendOK(t, all, "pump", 2, "pwm 50% 5m") // of a local rule: it has as much time again
		waitUntil(w, 20*time.Minute)
		wantLines(t, "a long one", w.take(), "11m30s pump off", "12m0s pump on", "12m30s pump off")
	})
}

// keeps is an output that is left as it is, at the stop and at the start.
func keeps(s *Spec) { s.Start, s.Stop = OutputKeep, OutputKeep }

func TestALineIsKeptOverARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, m := newWires(t), newOutputMemory()
		specs := []Spec{outputSpec("still", keeps), outputSpec("max", func(s *Spec) { keeps(s); s.MaxOn = time.Minute }), outputSpec("safe", nil), outputSpec("plays", keeps)}
		all := mustOutputs(t, w, m, OutputOptions{}, specs...)
		for i, s := range specs[:3] {
			sendOK(t, all, s.Name, gateway.Offset(i+1), "on")
		}
		sendOK(t, all, "plays", 4, "pulse 1h")
		waitUntil(w, 20*time.Second)
		w.take()
		// The process is killed; systemd has the descriptors.
		m.flush()
		kept := all.Files()
		halt(t, all)
		w.dies(kept)
		waitUntil(w, 30*time.Second)
		second := mustOutputs(t, w, m, OutputOptions{Adopt: kept}, specs...)
		waitUntil(w, 10*time.Minute)
		wantLines(t, "killed", w.take(), "30s max adopt", "30s plays adopt", "30s safe adopt", "30s still adopt", "30s safe off", "30s plays off", "1m0s max off")
		if !w.on("still") || w.on("max") {
			t.Error("want still on, and max off after a minute")
		}
		if len(second.Files()) != 4 {
			t.Errorf("got %v, want four files", second.Files())
		}
	})
}

func TestHowAKeptOutputStarts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*Spec)
		before string        // the command of the process before
		lost   bool          // what it noted
		away   time.Duration // until the next
		boot   string
		adopt  bool
		want   []string // for the minute after the start
	}{
		"kept":                      {before: "on", adopt: true, want: []string{"0s out adopt"}},
		"of the same boot":          {before: "on", want: []string{"0s out output on"}},
		"of another boot":           {before: "on", boot: "boot-2", want: []string{"0s out output off"}},
		"off":                       {before: "off", want: []string{"0s out output off"}},
		"a pattern":                 {before: "pwm 50% 10m", adopt: true, want: []string{"0s out adopt", "0s out off"}},
		"unknown":                   {before: "on", lost: true, adopt: true, want: []string{"0s out adopt", "0s out off"}},
		"time left":                 {before: "on", change: func(s *Spec) { s.MaxOn = 30 * time.Second }, away: 20 * time.Second, adopt: true, want: []string{"0s out adopt", "10s out off"}},
		"time left, line not kept":  {before: "on", change: func(s *Spec) { s.MaxOn = 30 * time.Second }, away: 20 * time.Second, want: []string{"0s out output on", "10s out off"}},
		"no time left":              {before: "on", change: func(s *Spec) { s.MaxOn = 30 * time.Second }, away: 40 * time.Second, adopt: true, want: []string{"0s out adopt", "0s out off"}},
		"time of another boot":      {before: "on", change: func(s *Spec) { s.MaxOn = time.Hour }, boot: "boot-2", adopt: true, want: []string{"0s out adopt", "0s out off"}},
		"watchdog over the restart": {before: "on", change: func(s *Spec) { s.Watchdog = 30 * time.Second }, away: 20 * time.Second, adopt: true, want: []string{"0s out adopt", "10s out off"}},
		"inverted":                  {before: "on", change: func(s *Spec) { s.Invert = true }, adopt: true, want: []string{"0s out adopt"}},
		"safe":                      {before: "on", change: func(s *Spec) { s.Start = OutputSafe }, adopt: true, want: []string{"0s out adopt", "0s out off"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w, m := newWires(t), newOutputMemory()
				s := outputSpec("out", keeps)
				if c.change != nil {
					c.change(&s)
				}
				first := mustOutputs(t, w, m, OutputOptions{}, s)
				sendOK(t, first, "out", 1, c.before)
				if m.crash(); !c.lost {
					first.get("out").note()
					m.flush()
				}
				kept := first.Files()
				halt(t, first)
				if !c.adopt {
					kept = nil
				}
				w.dies(kept)
				pause(t.Context(), c.away)
				w.rezero()
				second := mustOutputs(t, w, m, OutputOptions{Boot: c.boot, Adopt: kept}, s)
				pause(t.Context(), time.Minute)
				synctest.Wait()
				wantLines(t, "start", w.take(), c.want...)
				if err := second.Close(true); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestDescriptorsThatFitNothingAreMadeSafe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, m := newWires(t), newOutputMemory()
		high := func(s *Spec) { keeps(s); s.Safe = OutputOn }
		all := mustOutputs(t, w, m, OutputOptions{}, outputSpec("a", keeps), outputSpec("b", high), outputSpec("low", func(s *Spec) { keeps(s); s.Invert = true }), outputSpec("c", keeps))
		for i, name := range []string{"a", "low", "c"} {
			sendOK(t, all, name, gateway.Offset(i+1), "on")
		}
		sendOK(t, all, "b", 9, "off")
		kept := all.Files()
		halt(t, all)
		w.dies(kept)
		w.take()
		kept["nonsense"], kept["output//gone/high/off"] = os.Stdin, os.Stdin
		mustOutputs(t, w, m, OutputOptions{Adopt: kept}, outputSpec("renamed", func(s *Spec) { keeps(s); s.Pin = "c" }))
		wantLines(t, "left over", w.take(), "0s a adopt", "0s a off", "0s a close", "0s b adopt", "0s b on", "0s b close",
			"0s c adopt", "0s low adopt", "0s low on", "0s low close")
	})
}

func TestAReloadTouchesOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t)
		all := mustOutputs(t, w, newOutputMemory(), OutputOptions{}, outputSpec("same", nil), outputSpec("plays", nil), outputSpec("bound", nil),
			outputSpec("gone", nil), outputSpec("moved", nil), outputSpec("old", nil))
		for i, name := range []string{"same", "bound", "gone", "moved", "old"} {
			sendOK(t, all, name, gateway.Offset(i+1), "on")
		}
		sendOK(t, all, "plays", 9, "blink 1s 1s 3")
		w.take()
		wrong := all.Change([]Spec{outputSpec("same", func(s *Spec) { s.Safe = "up" })})
		if wrong == nil || len(w.take()) > 0 || len(all.Status()) != 6 {
			t.Errorf("got %v and %v, want an error and no change", wrong, all.Status())
		}
		pause(t.Context(), 500*time.Millisecond)
		err := all.Change([]Spec{
			outputSpec("new", nil), outputSpec("plays", nil), outputSpec("same", nil), outputSpec("bound", func(s *Spec) { s.MaxOn = 2500 * time.Millisecond }),
			outputSpec("moved", func(s *Spec) { s.Pin = "elsewhere" }), outputSpec("name", func(s *Spec) { s.Pin = "old" }),
		})
		if err != nil {
			t.Fatal(err)
		}
		waitUntil(w, 10*time.Second)
		wantLines(t, "reload", w.take(), "500ms gone off", "500ms moved off", "500ms old off", "500ms new output off", "500ms elsewhere output off", "500ms gone close", "500ms moved close",
			"1s plays off", "2s plays on", "2.5s bound off", "3s plays off", "4s plays on", "5s plays off")
		names := ""
		for _, s := range all.Status() {
			names += s.Name + " " + s.Value + ","
		}
		if want := "new off,plays off,same on,bound off,moved off,name off,"; names != want {
			t.Errorf("got %s, want %s", names, want)
		}
		sendOK(t, all, "name", 20, "on")
		if err := send(all, "gone", command(21, "on")); err == nil {
			t.Error("an output that is gone took a command")
		}
	})
}

func TestAnInterlockOfAReloadHolds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t)
		all := mustOutputs(t, w, newOutputMemory(), OutputOptions{}, outputSpec("up", nil), outputSpec("down", nil))
		sendOK(t, all, "up", 1, "on")
		sendOK(t, all, "down", 2, "on")
		w.take()
		if err := all.Change([]Spec{outputSpec("up", nil), outputSpec("down", func(s *Spec) { s.Interlock = []string{"up"} })}); err != nil {
			t.Fatal(err)
		}
		wantLines(t, "reload", w.take(), "0s down off")
		err := send(all, "down", command(3, "on"))
		var parts *gateway.BatchError
		if !errors.As(err, &parts) || !strings.Contains(parts.Errors[0].Error(), `while "up" is`) || !errors.Is(parts.Errors[0], gateway.ErrPermanent) {
			t.Errorf("got %v, want it refused with the other's name", err)
		}
	})
}

func TestALineThatDoesNotWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, m := newWires(t), newOutputMemory()
		w.set("up", func(s *wireState) { s.openErr = gpiochip.ErrBusy })
		all := mustOutputs(t, w, m, OutputOptions{}, outputSpec("up", func(s *Spec) { s.Interlock = []string{"down"} }), outputSpec("down", nil))
		retried := func(name string, offset gateway.Offset) {
			t.Helper()
			if err := send(all, name, command(offset, "on")); err == nil || errors.Is(err, gateway.ErrPermanent) {
				t.Errorf("got %v, want an error that is retried", err)
			}
		}
		retried("up", 1)
		if s := all.Status()[0]; s.State != gateway.DeviceFault || !strings.Contains(s.Fault, "in use") || s.Faults != 1 {
			t.Errorf("got %+v, want a fault", s)
		}
		w.set("up", func(s *wireState) { s.openErr = nil })
		waitUntil(w, time.Second)
		sendOK(t, all, "up", 1, "on")
		wantLines(t, "busy", w.take(), "0s down output off", "100ms up output off", "1s up on")

		// The line fails: it may be on, so the other stays locked, until it is off for certain.
		w.set("up", func(s *wireState) { s.setErr = errors.New("input/output error") })
		retried("up", 2)
		if err := send(all, "down", command(3, "on")); err == nil || !strings.Contains(err.Error(), "interlocked") {
			t.Errorf("got %v, want it locked", err)
		}
		waitUntil(w, time.Minute)
		w.set("up", func(s *wireState) { s.setErr = nil })
		waitUntil(w, 2*time.Minute)
		sendOK(t, all, "down", 4, "on", "off")
		got := w.take()
		if len(got) != 3 || !strings.HasSuffix(got[0], "up off") || strings.Contains(strings.Join(got, " "), "close") {
			t.Errorf("got %v, want the same line driven off and nothing else before the other is on", got)
		}

		// What it played does not go on afterwards.
		sendOK(t, all, "up", 10, "blink 1s 1s 100")
		w.set("up", func(s *wireState) { s.setErr = errors.New("input/output error") })
		waitUntil(w, 2*time.Minute+10*time.Second)
		w.set("up", func(s *wireState) { s.setErr = nil })
		w.take()
		waitUntil(w, 3*time.Minute)
		if got := w.take(); len(got) != 1 || !strings.HasSuffix(got[0], "up off") {
			t.Errorf("got %v, want it off and nothing more", got)
		}

		// The chip is unplugged, and nobody sets anything: that is noticed too, and that it is back.
		sendOK(t, all, "up", 5, "on")
		w.set("up", func(s *wireState) { s.setErr, s.openErr = gpiochip.ErrGone, gpiochip.ErrNotFound })
		w.take()
		waitUntil(w, 4*time.Minute)
		w.set("up", func(s *wireState) { s.setErr, s.openErr = nil, nil })
		waitUntil(w, 5*time.Minute)
		got = w.take()
		if len(got) != 2 || !strings.HasSuffix(got[0], "up close") || !strings.HasSuffix(got[1], "up output off") {
			t.Errorf("got %v, want the line closed, and had again", got)
		}
		if s := all.Status()[0]; s.State != gateway.DeviceOK || s.Faults != 4 || s.Fault != "" || s.Value != "off" {
			t.Errorf("got %+v, want it ok after four faults", s)
		}
		sendOK(t, all, "up", 2, "on") // it was not carried out
	})
}

func TestALineThatCannotBeMadeSafeAtTheStartLocksTheOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, m := newWires(t), newOutputMemory()
		specs := []Spec{outputSpec("up", nil), outputSpec("down", func(s *Spec) { s.Interlock = []string{"up"} })}
		first := mustOutputs(t, w, m, OutputOptions{}, specs...)
		sendOK(t, first, "up", 1, "on")
		kept := first.Files()
		halt(t, first)
		w.dies(kept)
		w.set("up", func(s *wireState) { s.setErr = errors.New("input/output error") })
		all := mustOutputs(t, w, m, OutputOptions{Adopt: kept}, specs...)
		if err := all.Set(t.Context(), "down", "on"); err == nil || !strings.Contains(err.Error(), "interlocked") {
			t.Errorf("got %v, want it locked", err)
		}
		w.set("up", func(s *wireState) { s.setErr = nil })
		waitUntil(w, time.Minute)
		if err := all.Set(t.Context(), "down", "on"); err != nil || w.on("up") {
			t.Errorf("got %v with the other on: %v", err, w.on("up"))
		}
	})
}

func TestWhatIsWrongWithOutputs(t *testing.T) {
	t.Parallel()
	with := func(change func(*Spec)) Spec { return outputSpec("a", change) }
	for want, specs := range map[string][]Spec{
		"two of that name":          {with(nil), outputSpec("a", func(s *Spec) { s.Pin = "b" })},
		"is that of":                {with(nil), outputSpec("b", func(s *Spec) { s.Pin = "a" })},
		"safe: ":                    {with(func(s *Spec) { s.Safe = "" })},
		"start: ":                   {with(func(s *Spec) { s.Start = "on" })},
		"stop: ":                    {with(func(s *Spec) { s.Stop = "" })},
		"max_on: -1s":               {with(func(s *Spec) { s.MaxOn = -time.Second })},
		"names itself":              {with(func(s *Spec) { s.Interlock = []string{"a"} })},
		`no output "b"`:             {with(func(s *Spec) { s.Interlock = []string{"b"} })},
		"safe state is on can have": {with(func(s *Spec) { s.Safe = OutputOn; s.Interlock = []string{"b"} }), outputSpec("b", nil)},
		`safe state of "b" is on`:   {with(func(s *Spec) { s.Interlock = []string{"b"} }), outputSpec("b", func(s *Spec) { s.Safe = OutputOn })},
		"is on has none":            {with(func(s *Spec) { s.Safe = OutputOn; s.MaxOn = time.Second })},
		"its type is":               {with(func(s *Spec) { s.Type = TypeInput })},
		"pin: ":                     {with(func(s *Spec) { s.Pin = "" })},
	} {
		w := newWires(t)
		all, err := NewOutputs(specs, w, OutputOptions{Memory: newOutputMemory()})
		if all != nil || err == nil || !strings.Contains(err.Error(), want) || len(w.take()) > 0 {
			t.Errorf("got %v, want an error with %q and no line touched", err, want)
		}
	}
	m := newOutputMemory()
	m.durable["output/a"] = []byte("{")
	if _, err := NewOutputs([]Spec{with(nil)}, newWires(t), OutputOptions{Memory: m}); err == nil || !strings.Contains(err.Error(), `key "output/a"`) {
		t.Errorf("got %v, want an error with the key", err)
	}
}

// Whatever is sent to outputs, from many goroutines, with faults, and reloads that lock and unlock them: two that are interlocked are never on at the same time.
func TestNeverTwoOn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		names := []string{"a", "b", "c", "d"}
		pairs := map[[2]string]bool{}
		specs := make([]Spec, len(names))
		for i, name := range names {
			specs[i] = outputSpec(name, func(s *Spec) {
				for _, other := range names {
					if other != name && rapid.IntRange(0, 2).Draw(rt, "locked") == 0 {
						s.Interlock = append(s.Interlock, other)
						pairs[[2]string{name, other}] = true
					}
				}
				s.Invert = rapid.Bool().Draw(rt, "invert")
				s.MaxOn = rapid.SampledFrom([]time.Duration{0, 3 * time.Second}).Draw(rt, "max_on")
				s.Watchdog = rapid.SampledFrom([]time.Duration{0, 2 * time.Second}).Draw(rt, "watchdog")
			})
		}
		commands := []string{"on", "off", "toggle", "pulse 700ms", "blink 100ms 300ms 5", "pwm 50% 1s", "pwm 0% 1s", "pwm 100% 1s", "fails", "works", "unlocked", "locked"}
		type step struct {
			name, text string
			by         bool
			wait       time.Duration
		}
		steps := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
			return step{rapid.SampledFrom(names).Draw(rt, "name"), rapid.SampledFrom(commands).Draw(rt, "command"), rapid.Bool().Draw(rt, "by hand"),
				time.Duration(rapid.SampledFrom([]int{0, 0, 0, 50, 400, 1500}).Draw(rt, "wait")) * time.Millisecond}
		}), 1, 60).Draw(rt, "steps")
		clash := ""
		synctest.Test(t, func(t *testing.T) {
			w := newWires(t)
			inverted, unlocked := map[string]bool{}, slices.Clone(specs)
			for i, s := range specs {
				inverted[s.Pin] = s.Invert
				unlocked[i].Interlock = nil
			}
			watched := true
			w.watch = func(all map[string]*wireState) {
				for pair := range pairs {
					if !watched {
						return
					}
					a, b := all[pair[0]], all[pair[1]]
					if a != nil && b != nil && a.output && b.output && a.on != inverted[pair[0]] && b.on != inverted[pair[1]] {
						clash = pair[0] + " and " + pair[1]
					}
				}
			}
			m := newOutputMemory()
			m.before = func() { pause(t.Context(), 20*time.Millisecond) } // a sync takes its time
			all := mustOutputs(t, w, m, OutputOptions{}, specs...)
			ended := make(chan struct{})
			var reload sync.Mutex
			for i, s := range steps {
				go func() {
					switch {
					case s.text == "fails":
						w.set(s.name, func(s *wireState) { s.setErr = errors.New("input/output error") })
					case s.text == "works":
						w.set(s.name, func(s *wireState) { s.setErr = nil })
					case s.text == "unlocked":
						reload.Lock()
						w.set(s.name, func(*wireState) { watched = false })
						if err := all.Change(unlocked); err != nil {
							t.Error(err)
						}
						reload.Unlock()
					case s.text == "locked":
						reload.Lock()
						if err := all.Change(specs); err != nil {
							t.Error(err)
						}
						w.set(s.name, func(*wireState) {
							watched = !slices.ContainsFunc(names, func(pin string) bool { return w.all[pin].setErr != nil }) || watched
						})
						reload.Unlock()
					case s.by:
						_ = all.Set(t.Context(), s.name, s.text)
					default:
						_ = send(all, s.name, command(gateway.Offset(i+1), s.text))
					}
					ended <- struct{}{}
				}()
				if s.wait > 0 {
					pause(t.Context(), s.wait)
				}
			}
			for range steps {
				<-ended
			}
			for _, name := range names {
				w.set(name, func(s *wireState) { s.setErr = nil })
			}
			pause(t.Context(), time.Minute)
			if err := all.Close(false); err != nil {
				t.Error(err)
			}
			if clash != "" {
				clash += " were on at the same time: " + strings.Join(w.take(), ", ")
			}
		})
		if clash != "" {
			rt.Fatal(clash)
		}
	})
}

func TestALineThatHangsEndsTheStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t)
		all, err := NewOutputs([]Spec{outputSpec("hangs", nil), outputSpec("works", nil)}, w, OutputOptions{Memory: newOutputMemory()})
		if err != nil {
			t.Fatal(err)
		}
		sendOK(t, all, "works", 1, "on")
		hang := make(chan struct{})
		w.set("hangs", func(s *wireState) { s.hang = hang })
		set := make(chan error, 1)
		go func() { set <- all.Set(t.Context(), "hangs", "on") }()
		synctest.Wait()
		w.take()
		err = all.Close(true)
		if err == nil || !strings.Contains(err.Error(), `output "hangs": the line does not answer`) || strings.Contains(err.Error(), "works") || time.Since(w.begin) > 2*closeTimeout {
			t.Errorf("got %v after %v, want the name of the line", err, time.Since(w.begin))
		}
		wantLines(t, "the other", w.take(), "0s works off", "10s works close")
		close(hang)
		<-set
		for _, p := range all.all() { // a line that comes back goes safe even now
			if p.name == "hangs" {
				if err := errors.Join(p.settle(whyStop, false)); err != nil {
					t.Error(err)
				}
			}
		}
	})
}

package forwarder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gateway"
	"gateway/internal/gatewaytest"
)

// committer is the fake log, with Commit.
type committer struct{ *gatewaytest.FakeLog }

func (c committer) Commit(ctx context.Context, b gateway.Batch) (last gateway.Offset, err error) {
	err = c.Submit(ctx, b, func(o gateway.Offset, _ error) { last = o })
	return last, err
}

func all(*gateway.DeadLetter) bool { return true }

func letters(t *testing.T, w *world) (list []gateway.DeadLetter) {
	t.Helper()
	if err := Letters(w.log, "up", func(l gateway.DeadLetter) error {
		list = append(list, l)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return list
}

// TestDeadLettersAreDeliveredOnceMore: requeued letters are delivered, marked, and are gone then; also a large one, one that dies again,
// and those that were requeued while the forwarder did not run.
func TestDeadLettersAreDeliveredOnceMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mended atomic.Bool
		w := start(t, func(_ context.Context, batch []gateway.Entry) error {
			errs := make([]error, len(batch))
			for i, e := range batch {
				bad := strings.HasPrefix(e.Event.Subject, "bad")
				if bad && (!mended.Load() || e.Event.Subject == "bad/for/ever") {
					errs[i] = gateway.Permanent(errors.New("no such column"))
				}
			}
			return &gateway.BatchError{Errors: errs}
		}, nil)
		w.feed("a", "bad/1", "bad/for/ever", "b")
		large := gateway.Event{Source: "//t", Type: "t", Subject: "bad/large", Data: []byte(strings.Repeat("x", 500<<10))}
		if _, err := w.log.Append(t.Context(), large); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		got := letters(t, w)
		if len(got) != 3 || got[0].Class != gateway.DeadRefused || got[0].Event.Subject != "bad/1" || got[0].Attempts != 1 || len(got[2].Event.Data) != 500<<10 {
			t.Fatalf("got %d letters: %.300s", len(got), fmt.Sprint(got))
		}
		if s := w.f.Status(); s.Letters != 3 || s.LetterBytes < 500<<10 {
			t.Errorf("got %d letters of %d bytes, want 3", s.Letters, s.LetterBytes)
		}
		mended.Store(true)
		if n, err := RequeueLetters(t.Context(), committer{w.log}, "up", all); n != 3 || err != nil {
			t.Fatalf("requeued %d, %v; want 3", n, err)
		}
		w.f.Poke()
		pass(time.Second)
		if got := letters(t, w); len(got) != 1 || got[0].Event.Subject != "bad/for/ever" {
			t.Errorf("got %d letters, want the one that can never be delivered", len(got))
		}
		w.wantDelivered([]gateway.Offset{1, 4, 2, 5})
		if last := w.sink.Delivered()[3].Event; last.Extensions[gateway.ExtBackfill] != "true" || len(last.Data) != 500<<10 {
			t.Errorf("got %v, want it marked and whole", last.Extensions)
		}
		for round := range 2 { // the same letter again; then while nobody runs
			if n, err := RequeueLetters(t.Context(), committer{w.log}, "up", all); n != 1 || err != nil {
				t.Fatalf("round %d: requeued %d, %v; want 1", round, n, err)
			}
			if round == 1 {
				w.end()
				w = w.again(t, nil)
			} else {
				w.f.Poke()
			}
			pass(time.Second)
			if got := letters(t, w); len(got) != 1 {
				t.Errorf("round %d: got %d letters", round, len(got))
			}
		}
		w.stop()
		if err := <-w.ran; err != nil {
			t.Error(err)
		}
		for key := range w.log.KV() {
			if strings.HasPrefix(key, requeuePrefix) {
				t.Errorf("%s is left", key)
			}
		}
	})
}

// TestDeadLettersAreBounded: the oldest make room, with a count and a line; what is dropped by hand is gone.
func TestDeadLettersAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(_ context.Context, batch []gateway.Entry) error {
			errs := make([]error, len(batch))
			for i := range errs {
				errs[i] = gateway.Permanent(errors.New("refused"))
			}
			return &gateway.BatchError{Errors: errs}
		}, func(o *Options, _ *gatewaytest.FakeLog) { o.Letters = LetterBounds{Bytes: 10_000, Age: 24 * time.Hour} })
		w.f.trusted = nil
		w.feedN(100)
		pass(time.Second)
		got := letters(t, w)
		s := w.f.Status()
		if len(got) == 0 || len(got) != s.Letters || s.LetterBytes > 10_000 || s.LettersDropped != uint64(100-len(got)) || got[len(got)-1].Offset != 100 || w.out.lines("dead letters were deleted") == 0 {
			t.Errorf("got %d letters, status %d of %d bytes, %d dropped; want the newest in 10,000 bytes", len(got), s.Letters, s.LetterBytes, s.LettersDropped)
		}
		if n, err := DropLetters(t.Context(), committer{w.log}, "up", func(l *gateway.DeadLetter) bool { return l.Offset == 100 }); n != 1 || err != nil {
			t.Errorf("dropped %d, %v; want 1", n, err)
		}
		pass(25 * time.Hour)
		if got := letters(t, w); len(got) != 0 {
			t.Errorf("got %d letters after a day, want none", len(got))
		}
		w.stop()
		<-w.ran
	})
}

// TestReplay delivers a part of the log once more beside what comes, at its rate, over a pause and a restart.
func TestReplay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil, nil)
		w.feedN(1000)
		pass(time.Second)
		s, err := w.f.Replay(t.Context(), gateway.Replay{From: 101, To: 400, Match: []string{"s/+"}, Rate: 10, NewIDs: true})
		if err != nil || s.ID != "1" {
			t.Fatalf("got %+v, %v", s, err)
		}
		pass(10 * time.Second)
		if s := w.f.Status().Replays[0]; s.State != gateway.ReplayRunning || s.Delivered < 90 || s.Delivered > 130 {
			t.Errorf("after 10 s at 10 a second got %+v", s)
		}
		w.feed("live")
		pass(time.Second)
		if d := w.sink.Delivered(); !slices.ContainsFunc(d, func(e gateway.Entry) bool { return e.Event.Subject == "live" }) {
			t.Error("what comes waits for the replay")
		}
		if _, err := w.f.PauseReplay(t.Context(), "1"); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		paused := w.f.Status().Replays[0]
		pass(time.Minute)
		if s := w.f.Status().Replays[0]; s.State != gateway.ReplayPaused || s.Delivered != paused.Delivered {
			t.Errorf("got %+v, want it paused as %+v", s, paused)
		}
		w.end()
		w = w.again(t, nil)
		pass(time.Second)
		if s := w.f.Status().Replays[0]; s.State != gateway.ReplayPaused || s.At != paused.At {
			t.Errorf("after a restart got %+v, want %+v", s, paused)
		}
		if _, err := w.f.ResumeReplay(t.Context(), "1"); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if s := w.f.Status().Replays[0]; s.State != gateway.ReplayDone || s.Delivered != 300 || s.Ended.IsZero() {
			t.Errorf("got %+v, want it done", s)
		}
		ids := map[string]bool{}
		var order []gateway.Offset
		for _, e := range w.sink.Delivered() {
			if e.Event.Extensions[gateway.ExtReplay] == "1" {
				ids[e.Event.ID] = true
				order = append(order, e.Offset)
				if !strings.HasSuffix(e.Event.ID, "+1") {
					t.Errorf("got ID %s, want a new one", e.Event.ID)
				}
			}
		}
		if len(ids) != 300 || !slices.IsSorted(order) {
			t.Errorf("got %d of 300 events again, in order %t", len(ids), slices.IsSorted(order))
		}
		if _, err := w.f.CancelReplay(t.Context(), "1"); err == nil {
			t.Error("a replay that is done was cancelled")
		}
		w.stop()
		<-w.ran
	})
}

// TestReplaySurvivesAStop goes on where it was, with what was delivered in the second before sent again at most.
func TestReplaySurvivesAStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil, nil)
		w.feedN(500)
		pass(time.Second)
		if _, err := w.f.Replay(t.Context(), gateway.Replay{Rate: 50}); err != nil {
			t.Fatal(err)
		}
		pass(3 * time.Second)
		w.end()
		w = w.again(t, nil)
		pass(time.Minute)
		s := w.f.Status().Replays[0]
		if s.State != gateway.ReplayDone || s.Delivered < 500 || s.Delivered > 560 {
			t.Errorf("got %+v, want 500 and what was settled in a second", s)
		}
		if _, err := w.f.Replay(t.Context(), gateway.Replay{From: 501}); err == nil {
			t.Error("a replay of nothing was taken")
		}
		if _, err := w.f.Replay(t.Context(), gateway.Replay{Match: []string{"a/#/b"}}); err == nil {
			t.Error("a replay with a filter that is none was taken")
		}
		w.stop()
		<-w.ran
	})
}

// TestDuplicatesAreReported: the receiver's word that it has an event is a delivery, and is counted.
func TestDuplicatesAreReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(_ context.Context, batch []gateway.Entry) error {
			errs := make([]error, len(batch))
			for i := range batch {
				if batch[i].Event.Extensions[gateway.ExtReplay] != "" {
					errs[i] = gateway.ErrDuplicate
				}
			}
			return &gateway.BatchError{Errors: errs}
		}, nil)
		w.feedN(30)
		pass(time.Second)
		if _, err := w.f.Replay(t.Context(), gateway.Replay{}); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if s := w.f.Status(); s.Duplicates != 30 || s.Replays[0].Duplicates != 30 || s.Replays[0].Delivered != 30 || s.DeadLettered != 0 {
			t.Errorf("got %+v, want 30 duplicates", s)
		}
		w.stop()
		<-w.ran
	})
}

// TestOutcomesGoToTheLog: what became of each event is an event, in the write that settles it; and nothing is told of outcomes.
func TestOutcomesGoToTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(_ context.Context, batch []gateway.Entry) error {
			errs := make([]error, len(batch))
			for i := range batch {
				if batch[i].Event.Subject == "bad" {
					errs[i] = gateway.Permanent(errors.New("no such device"))
				}
			}
			return &gateway.BatchError{Errors: errs}
		}, func(o *Options, _ *gatewaytest.FakeLog) { o.Outcomes, o.ID = true, "pi 1" })
		w.feed("good", "bad")
		pass(time.Minute)
		var results []string
		for _, e := range w.log.Entries() {
			if e.Event.Type != gateway.TypeOutcome {
				continue
			}
			var o gateway.Outcome
			if err := json.Unmarshal(e.Event.Data, &o); err != nil {
				t.Fatal(err)
			}
			results = append(results, fmt.Sprint(o.Offset, " ", o.Topic, " ", o.Result, " ", o.Cause, " ", e.Event.Source))
		}
		want := []string{"1 good delivered  //pi%201/forwarder/up", "2 bad refused no such device //pi%201/forwarder/up"}
		if !slices.Equal(results, want) {
			t.Errorf("got %q, want %q", results, want)
		}
		largest := 0
		w.log.RefuseSubmit(func(b gateway.Batch) error {
			bytes := 0
			for i := range b.Events {
				bytes += len(b.Events[i].Data)
			}
			if b.Events != nil && b.Events[0].Type == gateway.TypeOutcome {
				largest = max(largest, bytes)
			}
			return nil
		})
		long := strings.Repeat("x", 50_000)
		for range 300 {
			w.feed(long)
		}
		pass(time.Minute)
		if s := w.f.Status(); s.Waiting != 0 || largest == 0 || largest > 128<<10 {
			t.Errorf("got %+v; the largest write of outcomes has %d bytes, want 128 KiB at most", s, largest)
		}
		w.log.RefuseSubmit(func(b gateway.Batch) error { // full: to settle is what makes room
			if len(b.Events) > 0 && b.Events[0].Type == gateway.TypeOutcome {
				return gateway.ErrFull
			}
			return nil
		})
		w.feed("good")
		pass(time.Minute)
		if s := w.f.Status(); s.Waiting != 0 || s.OutcomesLost != 1 {
			t.Errorf("got %+v, want everything settled and one outcome lost", s)
		}
		w.stop()
		<-w.ran
	})
}

// TestLinger gathers live events for as long as is allowed.
func TestLinger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil, func(o *Options, _ *gatewaytest.FakeLog) { o.Linger = 10 * time.Second })
		for range 5 {
			w.feedN(1)
			pass(time.Second)
		}
		if n := len(w.sink.Sends()); n != 0 {
			t.Errorf("%d batches after 5 s, want none", n)
		}
		pass(6 * time.Second)
		if sends := w.sink.Sends(); len(sends) != 1 || len(sends[0]) != 5 {
			t.Errorf("got %v, want one batch of 5", sends)
		}
		w.feedN(25)
		pass(time.Second)
		if sends := w.sink.Sends(); len(sends) != 3 || len(sends[1]) != 10 {
			t.Errorf("got %v, want the two that are whole", sends)
		}
		w.end()
	})
}

// TestBefore finds a place by its time.
func TestBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := gatewaytest.NewLog()
		begin := time.Now()
		for range 100 {
			if _, err := log.Append(t.Context(), gateway.Event{Source: "//t", Type: "t"}); err != nil {
				t.Fatal(err)
			}
			pass(time.Minute)
		}
		for after, want := range map[time.Duration]gateway.Offset{-time.Hour: 0, 0: 0, time.Second: 1, time.Minute: 1, 90 * time.Second: 2, 50 * time.Minute: 50, 1000 * time.Hour: 100} {
			if got, err := Before(t.Context(), log, begin.Add(after)); got != want || err != nil {
				t.Errorf("after %s got %d, %v; want %d", after, got, err, want)
			}
		}
	})
}

// TestTrace says where an event is, and why.
func TestTrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		w := start(t, func(_ context.Context, batch []gateway.Entry) error {
			if down.Load() {
				return errDown
			}
			errs := make([]error, len(batch))
			for i := range batch {
				if batch[i].Event.Subject == "a/bad" {
					errs[i] = gateway.Permanent(errors.New("no such column"))
				}
			}
			return &gateway.BatchError{Errors: errs}
		}, func(o *Options, _ *gatewaytest.FakeLog) { o.Routes = []Route{{Match: []string{"a/#"}}} })
		w.feed("a/good", "a/bad", "b")
		pass(time.Second)
		down.Store(true)
		w.feed("a/x", "a/y")
		pass(time.Second)
		entries := w.log.Entries()
		for i, want := range []string{gateway.TraceDelivered, gateway.TraceDead, gateway.TraceSkipped, gateway.TraceWaiting, gateway.TraceWaiting} {
			got, err := w.f.Trace(&entries[i])
			if err != nil || got.State != want {
				t.Errorf("%s: got %+v, %v; want %s", entries[i].Event.Subject, got, err, want)
			}
			switch i {
			case 0:
				if len(got.Attempts) != 1 || got.Route != 1 {
					t.Errorf("got %+v, want one attempt by route 1", got)
				}
			case 1:
				if got.Letter == nil || got.Letter.Cause != "no such column" {
					t.Errorf("got %+v, want the dead letter", got.Letter)
				}
			case 4:
				if got.Ahead != 1 || got.Lane != "live" || got.Why != errDown.Error() || len(got.Attempts) == 0 || got.Attempts[0].Answer != errDown.Error() {
					t.Errorf("got %+v, want it second in the lane, and why", got)
				}
			}
		}
		w.end()
	})
}

// TestRenamed goes on where it was under its former name, with its dead letters.
func TestRenamed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(_ context.Context, batch []gateway.Entry) error {
			errs := make([]error, len(batch))
			for i := range batch {
				if batch[i].Event.Subject == "bad" {
					errs[i] = gateway.Permanent(errors.New("refused"))
				}
			}
			return &gateway.BatchError{Errors: errs}
		}, nil)
		w.feed("a", "bad", "b")
		pass(time.Second)
		w.end()
		w.feed("c")
		w = w.again(t, func(o *Options, _ *gatewaytest.FakeLog) { o.Name, o.RenamedFrom = "new", "up" })
		pass(time.Second)
		w.wantDelivered([]gateway.Offset{1, 3, 4})
		if len(letters(t, w)) != 0 || w.f.Status().Letters != 1 {
			t.Errorf("got %d letters under the old name and %d under the new one, want 0 and 1", len(letters(t, w)), w.f.Status().Letters)
		}
		if _, there := w.log.Cursor("forwarder/up"); there {
			t.Error("the old place is still kept")
		}
		w.stop()
		<-w.ran
	})
}

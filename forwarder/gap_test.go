package forwarder

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"gateway"
	"gateway/internal/gatewaytest"
)

// holedLog is a log that lost events: whoever reads there meets a gap.
type holedLog struct {
	*gatewaytest.FakeLog
	gap gateway.Gap
}

type holedReader struct {
	log   *holedLog
	after gateway.Offset
	inner gateway.Reader
}

func (l *holedLog) NewReader(after gateway.Offset) gateway.Reader {
	return &holedReader{log: l, after: after, inner: l.FakeLog.NewReader(after)}
}

// Next is the real log's at a gap: what is left of it, as one entry at its last offset.
func (r *holedReader) Next(ctx context.Context, max int) ([]gateway.Entry, error) {
	g := r.log.gap
	if r.after+1 >= g.From && r.after+1 <= g.To {
		g.From = r.after + 1
		e, err := g.Entry("fake", 1, "gateway")
		r.after, r.inner = g.To, r.log.FakeLog.NewReader(g.To)
		return []gateway.Entry{e}, err
	}
	if r.after < g.From {
		max = min(max, int(g.From-1-r.after))
	}
	entries, err := r.inner.Next(ctx, max)
	if len(entries) > 0 {
		r.after = entries[len(entries)-1].Offset
	}
	return entries, err
}

func (r *holedReader) Close() error { return r.inner.Close() }

func hole(from, to gateway.Offset) gateway.Gap {
	return gateway.Gap{From: from, To: to, Reason: gateway.LostFull, Noticed: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
}

// gapsIn are the gaps among what was delivered.
func gapsIn(t *testing.T, entries []gateway.Entry) (gaps []gateway.Gap) {
	t.Helper()
	for _, e := range entries {
		if e.Event.Type != gateway.TypeGap {
			continue
		}
		var g gateway.Gap
		if err := json.Unmarshal(e.Event.Data, &g); err != nil || e.Event.Subject != gateway.TopicGap || e.Offset != g.To {
			t.Errorf("%s: %v in %s at %d", e.Event.Data, err, e.Event.Subject, e.Offset)
		}
		gaps = append(gaps, g)
	}
	return gaps
}

// run runs a forwarder over l until nothing is left to do, and returns its status.
func runOver(t *testing.T, l *holedLog, sink *gatewaytest.FakeSink, match ...string) gateway.ForwarderStatus {
	t.Helper()
	o := options(l, sink, &lockedBuffer{})
	o.Routes = []Route{{Match: match}}
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- f.Run(ctx) }()
	synctest.Wait()
	s := f.Status()
	stop()
	if err := <-ran; err != nil {
		t.Errorf("run: %v", err)
	}
	return s
}

func holed(t *testing.T, events int, gap gateway.Gap) *holedLog {
	t.Helper()
	l := &holedLog{gatewaytest.NewLog(), gap}
	for range events {
		if _, err := l.Append(t.Context(), gateway.Event{Source: "//t", Type: "t", Subject: "other"}); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func TestGapIsSentWhateverTheFilters(t *testing.T) {
	t.Parallel()
	for _, match := range [][]string{nil, {"other"}, {"never/#"}, {"+/only"}} {
		synctest.Test(t, func(t *testing.T) {
			l, sink := holed(t, 50, hole(11, 40)), &gatewaytest.FakeSink{}
			s := runOver(t, l, sink, match...)
			gaps := gapsIn(t, sink.Delivered())
			if len(gaps) != 1 || gaps[0].From != 11 || gaps[0].To != 40 || gaps[0].Reason != gateway.LostFull {
				t.Errorf("match %q: got gaps %v, want 11 to 40", match, gaps)
			}
			if s.Settled != 50 || s.Waiting != 0 || s.Lag != 0 || s.State != gateway.StateIdle {
				t.Errorf("match %q: got %+v, want everything settled", match, s)
			}
			if at, _ := l.Cursor("forwarder/up"); at != 50 {
				t.Errorf("match %q: the cursor is at %d, want 50", match, at)
			}
			runOver(t, l, sink, match...) // after a restart
			if again := gapsIn(t, sink.Delivered()); len(again) != 1 {
				t.Errorf("match %q: got gaps %v after a restart, want one", match, again)
			}
		})
	}
}

// TestGapOfWhichAPartIsSettled: who is in the middle of it reports what he had not settled.
func TestGapOfWhichAPartIsSettled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, sink := holed(t, 50, hole(11, 40)), &gatewaytest.FakeSink{}
		move := gateway.Batch{Cursors: []gateway.CursorMove{{Name: "forwarder/up", Offset: 25}}}
		if err := l.Submit(t.Context(), move, nil); err != nil {
			t.Fatal(err)
		}
		runOver(t, l, sink)
		if gaps := gapsIn(t, sink.Delivered()); len(gaps) != 1 || gaps[0].From != 26 || gaps[0].To != 40 || len(sink.Delivered()) != 11 {
			t.Errorf("got gaps %v and %d entries, want 26 to 40 and 11", gaps, len(sink.Delivered()))
		}
	})
}

// TestGapThatWasNotDeliveredIsNotSettled: the batch is cut right before the gap. The cursor once went to the offset before the
// gap's last, and after a restart the upstream would have learned of one lost event instead of all.
func TestGapThatWasNotDeliveredIsNotSettled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := holed(t, 50, hole(11, 40))
		sink := &gatewaytest.FakeSink{SendFunc: func(_ context.Context, batch []gateway.Entry) error {
			b := &gateway.BatchError{Errors: make([]error, len(batch))}
			cut := false
			for i, e := range batch {
				if cut = cut || e.Event.Type == gateway.TypeGap; cut {
					b.Errors[i] = errors.New("down")
				}
			}
			return b
		}}
		if s := runOver(t, l, sink); s.Settled != 10 || s.Waiting != 40 || s.State != gateway.StateRetrying {
			t.Errorf("got %+v, want settled 10 and retrying", s)
		}
		if at, _ := l.Cursor("forwarder/up"); at != 10 {
			t.Errorf("the cursor is at %d, want 10", at)
		}
		up := &gatewaytest.FakeSink{}
		runOver(t, l, up)
		if gaps := gapsIn(t, up.Delivered()); len(gaps) != 1 || gaps[0].From != 11 || gaps[0].To != 40 {
			t.Errorf("got gaps %v after a restart, want 11 to 40", gaps)
		}
	})
}

// TestGapSentTwiceHasOneID, so that the upstream can tell.
func TestGapSentTwiceHasOneID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := holed(t, 50, hole(11, 40))
		lost := false
		ids := map[string]int{}
		sink := &gatewaytest.FakeSink{SendFunc: func(_ context.Context, batch []gateway.Entry) error {
			for _, e := range batch {
				if e.Event.Type == gateway.TypeGap {
					ids[e.Event.ID]++
					if !lost { // it has arrived, the answer has not
						lost = true
						return errors.New("connection lost")
					}
				}
			}
			return nil
		}}
		runOver(t, l, sink)
		runOver(t, l, sink)
		for id, n := range ids {
			if n < 2 {
				t.Errorf("%s was sent %d times, want it again with the same ID", id, n)
			}
		}
		if len(ids) != 1 {
			t.Errorf("got IDs %v, want one", ids)
		}
	})
}

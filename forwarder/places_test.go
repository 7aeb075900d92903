package forwarder

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gateway"
	"gateway/internal/gatewaytest"
)

// TestLiveEventsNeverWaitForTheBacklogsWindow: a slow Send, or batches that gather, do not make backlog of what comes.
func TestLiveEventsNeverWaitForTheBacklogsWindow(t *testing.T) {
	t.Parallel()
	for _, linger := range []time.Duration{0, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			var slow atomic.Bool
			w := start(t, func(context.Context, []gateway.Entry) error {
				if slow.Swap(false) {
					<-time.After(8 * time.Second)
				}
				return nil
			}, func(o *Options, _ *gatewaytest.FakeLog) {
				o.CatchUp, o.Backlog, o.Linger = LiveFirst, OldestFirst, linger
				o.Budget = Budget{Schedule: []Window{{}}} // never
			})
			w.feedN(1)
			pass(2 * time.Minute)
			slow.Store(true)
			w.feedN(1000)
			pass(time.Second)
			w.feedN(2)
			pass(5 * time.Minute)
			if got := len(w.sink.Delivered()); got != 1003 {
				t.Errorf("linger %s: got %d of 1003 events, state %s", linger, got, w.f.Status().Held)
			}
			w.stop()
			<-w.ran
		})
	}
}

// TestProbesSendWhatWasDelivered: not what has expired; and a receiver that says that it has the probe's event has shown that it is there.
func TestProbesSendWhatWasDelivered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		seen := map[gateway.Offset]bool{}
		w := start(t, func(_ context.Context, batch []gateway.Entry) error {
			errs := make([]error, len(batch))
			for i, e := range batch {
				switch {
				case e.Event.Subject == "poison":
					return errors.New("connection reset")
				case seen[e.Offset]:
					errs[i] = gateway.ErrDuplicate
				case e.Event.Subject == "old":
					t.Errorf("offset %d is sent, though it expired", e.Offset)
				}
				seen[e.Offset] = true
			}
			return &gateway.BatchError{Errors: errs}
		}, nil)
		w.f.trusted = nil
		old := gateway.Event{Source: "//t", Type: "t", Subject: "old", Extensions: map[string]string{gateway.ExtExpiry: time.Now().Add(-time.Hour).Format(time.RFC3339)}}
		fresh := gateway.Event{Source: "//t", Type: "t", Subject: "fresh"}
		if _, err := w.log.Append(t.Context(), fresh, old); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		w.feed("poison", "a", "b")
		pass(3 * time.Hour)
		if s := w.f.Status(); s.Poison != 1 || s.Expired != 1 || s.Settled != 5 {
			t.Errorf("got %+v, want the poison convicted", s)
		}
		w.stop()
		<-w.ran
	})
}

// TestUnclaimedPlacesAreForgotten: half a pair of cursors, left by a stop between two writes, holds nothing back.
func TestUnclaimedPlacesAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil, nil)
		w.feedN(10)
		pass(time.Second)
		w.end()
		orphan := "forwarder/up/backlog/0000000000000001"
		if err := w.log.Submit(t.Context(), gateway.Batch{Cursors: []gateway.CursorMove{{Name: orphan, Offset: 3}}}, nil); err != nil {
			t.Fatal(err)
		}
		w = w.again(t, nil)
		pass(time.Second)
		if _, there := w.log.Cursor(orphan); there {
			t.Error("the orphan still holds the log back")
		}
		w.stop()
		<-w.ran
	})
}

package forwarder

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gateway"
	"gateway/internal/gatewaytest"
)

// TestScheduleIsKept: what has waited goes in its windows, what comes now at any time.
func TestScheduleIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		now := time.Now().Local()
		clock := time.Duration(now.Hour())*time.Hour + time.Duration(now.Minute())*time.Minute
		day := 24 * time.Hour
		w := start(t, func(context.Context, []gateway.Entry) error {
			if !up.Load() {
				return errDown
			}
			return nil
		}, func(o *Options, _ *gatewaytest.FakeLog) {
			o.CatchUp, o.Backlog = LiveFirst, OldestFirst
			o.Budget = Budget{Schedule: []Window{{From: (clock + 5*time.Hour) % day, To: (clock + 6*time.Hour) % day}}}
		})
		w.feedN(1000)
		pass(10 * time.Minute)
		up.Store(true)
		pass(2 * time.Minute)
		w.feed("live")
		pass(time.Minute)
		if got := w.sink.Delivered(); len(got) != 1 || got[0].Event.Subject != "live" {
			t.Errorf("got %d events outside of the schedule, want the live one", len(got))
		}
		if s := w.f.Status(); s.State != gateway.StateHeld || s.Held == "" {
			t.Errorf("got state %s, held for %q; want it held", s.State, s.Held)
		}
		pass(4 * time.Hour)
		if got := len(w.sink.Delivered()); got != 1 {
			t.Errorf("got %d events before the window, want 1", got)
		}
		pass(90 * time.Minute)
		if got := len(w.sink.Delivered()); got != 1001 {
			t.Errorf("got %d events after the window, want all", got)
		}
		w.stop()
		<-w.ran
	})
}

// TestWindow takes windows within a day and past midnight.
func TestWindow(t *testing.T) {
	t.Parallel()
	hour := time.Hour
	for _, c := range []struct {
		w    Window
		at   time.Duration
		want bool
	}{
		{Window{2 * hour, 3 * hour}, 2 * hour, true}, {Window{2 * hour, 3 * hour}, 3 * hour, false}, {Window{2 * hour, 3 * hour}, hour, false},
		{Window{22 * hour, 6 * hour}, 23 * hour, true}, {Window{22 * hour, 6 * hour}, 5 * hour, true}, {Window{22 * hour, 6 * hour}, 12 * hour, false},
	} {
		if got := c.w.has(c.at); got != c.want {
			t.Errorf("%v at %s: got %t", c.w, c.at, got)
		}
	}
}

// TestBudgetsOfTheBacklog bounds what has waited, in events a second, and not what comes.
func TestBudgetsOfTheBacklog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		w := start(t, func(context.Context, []gateway.Entry) error {
			if !up.Load() {
				return errDown
			}
			return nil
		}, func(o *Options, _ *gatewaytest.FakeLog) {
			o.CatchUp, o.Backlog = LiveFirst, OldestFirst
			o.Budget = Budget{Backlog: Rate{Events: 10}, Burst: time.Second}
		})
		w.feedN(5000)
		pass(10 * time.Minute)
		up.Store(true)
		pass(2 * time.Minute)
		before := len(w.sink.Delivered())
		pass(30 * time.Second)
		if n := len(w.sink.Delivered()) - before; n < 290 || n > 310 {
			t.Errorf("got %d events of the backlog in 30 s, want 300", n)
		}
		for range 500 {
			w.feed("live")
		}
		pass(time.Second)
		live := 0
		for _, e := range w.sink.Delivered() {
			if e.Event.Subject == "live" {
				live++
			}
		}
		if live != 500 {
			t.Errorf("got %d live events of 500 in a second", live)
		}
		w.stop()
		<-w.ran
	})
}

package forwarder

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gateway"
	"gateway/internal/gatewaytest"
)

var errDown = errors.New("connection refused")

// feedFrom appends n events of a source, with payloads that count on.
func (w *world) feedFrom(source string, n int) {
	w.t.Helper()
	events := make([]gateway.Event, n)
	for i := range events {
		w.fed[source]++
		events[i] = gateway.Event{Source: source, Type: "t", Subject: "s", Data: fmt.Append(nil, w.fed[source])}
	}
	if _, err := w.log.Append(w.t.Context(), events...); err != nil {
		w.t.Fatal(err)
	}
}

// lanesOf splits what was delivered by source and lane, without repeated IDs.
func lanesOf(delivered []gateway.Entry) map[string][]gateway.Offset {
	seen := map[string]bool{}
	lanes := map[string][]gateway.Offset{}
	for _, e := range delivered {
		if seen[e.Event.ID] {
			continue
		}
		seen[e.Event.ID] = true
		lane := e.Event.Source
		if e.Event.Extensions[gateway.ExtBackfill] == "true" {
			lane += " backfill"
		}
		lanes[lane] = append(lanes[lane], e.Offset)
	}
	return lanes
}

// TestLiveFirst: after an outage what comes is delivered at once, and what has waited beside it, marked; each in its order, and nothing is lost.
func TestLiveFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		w := start(t, func(ctx context.Context, batch []gateway.Entry) error {
			if !up.Load() {
				return errDown
			}
			if batch[0].Event.Extensions[gateway.ExtBackfill] == "true" {
				<-time.After(time.Second) // the backlog is slow
			}
			return nil
		}, func(o *Options, _ *gatewaytest.FakeLog) { o.CatchUp, o.BatchSize = LiveFirst, 100 })
		w.feedFrom("//a", 2000)
		pass(time.Minute)
		up.Store(true)
		pass(time.Minute)
		w.feedFrom("//a", 10)
		pass(time.Second)
		live := lanesOf(w.sink.Delivered())["//a"]
		if len(live) < 10 || live[len(live)-1] != 2010 {
			t.Fatalf("got %v, want the new events though the backlog waits", live)
		}
		s := w.f.Status()
		if len(s.Lanes) != 2 || s.Lanes[0].Waiting != 0 || s.Lanes[1].Waiting == 0 || !s.Lanes[1].Backlog {
			t.Errorf("got lanes %+v, want a backlog", s.Lanes)
		}
		pass(10 * time.Minute)
		lanes := lanesOf(w.sink.Delivered())
		all := slices.Concat(lanes["//a"], lanes["//a backfill"])
		for name, lane := range lanes {
			if !slices.IsSorted(lane) {
				t.Errorf("%s is not in order", name)
			}
		}
		slices.Sort(all)
		if len(all) != 2010 || all[0] != 1 || all[2009] != 2010 {
			t.Errorf("got %d events, want 2010", len(all))
		}
		w.end()
		for cursor := range w.log.Status().Cursors {
			if strings.Contains(cursor, "backlog") {
				t.Errorf("the cursor %s is left over", cursor)
			}
		}
	})
}

// TestLiveFirstSurvivesARestart goes on with both lanes where they were.
func TestLiveFirstSurvivesARestart(t *testing.T) {
	t.Parallel()
	for _, backlog := range []string{OldestFirst, NewestFirst} {
		t.Run(backlog, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var up atomic.Bool
				var sends atomic.Int64
				send := func(context.Context, []gateway.Entry) error {
					if !up.Load() {
						return errDown
					}
					sends.Add(1)
					return nil
				}
				change := func(o *Options, _ *gatewaytest.FakeLog) { o.CatchUp, o.Backlog, o.BatchSize = LiveFirst, backlog, 50 }
				w := start(t, send, change)
				for range 3 { // outages
					up.Store(false)
					w.feedFrom("//a", 9000)
					pass(time.Minute)
					up.Store(true)
					w.feedFrom("//a", 100)
					for n := sends.Load(); sends.Load() < n+10; {
						pass(time.Millisecond)
					}
					w.stop()
					if err := <-w.ran; err != nil {
						t.Fatal(err)
					}
					w = w.again(t, change)
				}
				pass(10 * time.Minute)
				delivered := w.sink.Delivered()
				seen := map[gateway.Offset]int{}
				for _, e := range delivered {
					seen[e.Offset]++
				}
				if len(seen) != 3*9100 {
					t.Errorf("got %d events, want %d", len(seen), 3*9100)
				}
				if again := len(delivered) - len(seen); again > 500 {
					t.Errorf("%d events were delivered twice", again)
				}
				s := w.f.Status()
				if s.Settled != 3*9100 || s.Waiting != 0 {
					t.Errorf("got %+v, want all settled", s)
				}
				w.stop()
				if err := <-w.ran; err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// TestNewestFirst delivers the newest part of the backlog before the rest.
func TestNewestFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		w := start(t, func(context.Context, []gateway.Entry) error {
			if !up.Load() {
				return errDown
			}
			return nil
		}, func(o *Options, _ *gatewaytest.FakeLog) {
			o.CatchUp, o.Backlog, o.BatchSize = LiveFirst, NewestFirst, 500
		})
		w.feedFrom("//a", 25_000)
		pass(time.Minute)
		up.Store(true)
		pass(5 * time.Minute)
		got := lanesOf(w.sink.Delivered())["//a backfill"]
		if len(got) < 24_000 || got[0] < 14_000 || got[len(got)-1] > 6000 {
			t.Errorf("the backlog has %d events, from %d to %d; want the newest first", len(got), got[0], got[len(got)-1])
		}
		w.end()
	})
}

// TestAlarmsOvertake: events of a higher priority do not wait behind a backlog, keep their own order, and nothing is lost or sent twice.
func TestAlarmsOvertake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		w := start(t, func(context.Context, []gateway.Entry) error {
			if !up.Load() {
				return errDown
			}
			<-time.After(10 * time.Millisecond)
			return nil
		}, func(o *Options, _ *gatewaytest.FakeLog) {
			o.BatchSize = 10
			o.Routes = []Route{{Match: []string{"alarm/#"}, Priority: 9}, {Match: []string{"#"}}}
		})
		w.feedN(3000)
		w.feed("alarm/1", "alarm/2", "alarm/3")
		up.Store(true)
		pass(2 * time.Second)
		var alarms, readings int
		for _, e := range w.sink.Delivered() {
			if strings.HasPrefix(e.Event.Subject, "alarm") {
				alarms++
				if e.Event.Subject != fmt.Sprint("alarm/", alarms) {
					t.Errorf("alarm %d is %s", alarms, e.Event.Subject)
				}
				continue
			}
			if alarms < 3 {
				readings++
			}
		}
		if alarms != 3 || readings > 100 {
			t.Errorf("%d alarms came, behind %d readings", alarms, readings)
		}
		pass(time.Minute)
		if got := len(w.sink.Delivered()); got != 3003 {
			t.Errorf("got %d events, want 3003", got)
		}
		w.end()
	})
}

// TestRoutesChange: another order of priorities, and back, over restarts with events waiting: everything comes, once.
func TestRoutesChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var left atomic.Int64
		send := func(_ context.Context, batch []gateway.Entry) error {
			if left.Add(-int64(len(batch))) < 0 {
				return errDown
			}
			return nil
		}
		plans := [][]Route{
			nil,
			{{Match: []string{"alarm/#"}, Priority: 9}, {}},
			{{Match: []string{"s/#"}, Priority: 3}, {Priority: 5}},
			{{Match: []string{"alarm/#"}, Priority: 9}, {}},
			nil,
		}
		w := start(t, send, nil)
		for round, routes := range plans {
			w.stop()
			if err := <-w.ran; err != nil {
				t.Fatal(err)
			}
			w = w.again(t, func(o *Options, _ *gatewaytest.FakeLog) { o.Routes = routes })
			w.feedN(100)
			w.feed("alarm/1", "alarm/2")
			left.Store(60)
			pass(time.Second)
			_ = round
		}
		left.Store(1 << 40)
		pass(10 * time.Minute)
		seen := map[gateway.Offset]int{}
		for _, e := range w.sink.Delivered() {
			seen[e.Offset]++
		}
		for offset := range gateway.Offset(5 * 102) {
			if n := seen[offset+1]; n != 1 {
				t.Errorf("offset %d was delivered %d times", offset+1, n)
			}
		}
		w.stop()
		if err := <-w.ran; err != nil {
			t.Fatal(err)
		}
	})
}

// TestExpiredEventsAreNotSent: neither by the route's ttl nor by their own time; they are in the dead letters.
func TestExpiredEventsAreNotSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var up, synced atomic.Bool
		w := start(t, func(context.Context, []gateway.Entry) error {
			if !up.Load() {
				return errDown
			}
			return nil
		}, func(o *Options, _ *gatewaytest.FakeLog) {
			o.Routes = []Route{{Match: []string{"short/#"}, TTL: time.Minute}, {}}
			o.RetryMax = 20 * time.Second
		})
		w.f.trusted = synced.Load
		own := gateway.Event{Source: "//t", Type: "t", Subject: "own", Data: []byte("own"), Extensions: map[string]string{gateway.ExtExpiry: time.Now().Add(time.Hour).Format(time.RFC3339)}}
		if _, err := w.log.Append(t.Context(), own); err != nil {
			t.Fatal(err)
		}
		w.feed("a", "short/1", "b", "short/2")
		pass(2 * time.Hour)
		w.feed("short/3")
		synced.Store(true)
		up.Store(true)
		pass(50 * time.Second) // not as long as short/3 lives, from a retry on
		w.wantDelivered([]gateway.Offset{2, 4, 6})
		s := w.end()
		if s.Expired != 3 || s.DeadLettered != 3 {
			t.Errorf("got %+v, want 3 expired", s)
		}
		for key, value := range w.log.KV() {
			if strings.HasPrefix(key, "dead/") && !strings.Contains(string(value), `"class":"expired"`) {
				t.Errorf("%s: %s", key, value)
			}
		}
	})
}

// TestPoisonIsSetAside: an event that breaks the link each time holds nobody for ever, and a link that is down blames nobody.
func TestPoisonIsSetAside(t *testing.T) {
	t.Parallel()
	for _, whole := range []bool{false, true} {
		t.Run(map[bool]string{false: "breaks the link", true: "is refused with its batch"}[whole], func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var up atomic.Bool
				w := start(t, func(_ context.Context, batch []gateway.Entry) error {
					if !up.Load() {
						return errDown
					}
					for i := range batch {
						if string(batch[i].Event.Data) != "poison" {
							continue
						}
						if whole {
							return gateway.Permanent(errors.New("bad request"))
						}
						return errors.New("connection reset")
					}
					return nil
				}, func(o *Options, _ *gatewaytest.FakeLog) { o.BatchSize = 500 })
				w.feed("first")
				up.Store(true)
				pass(time.Minute)
				up.Store(false)
				w.feedN(100)
				w.feed("poison")
				w.feedN(1000)
				pass(24 * time.Hour)
				if s := w.f.Status(); s.DeadLettered != 0 {
					t.Fatalf("a line that was down made %d dead letters", s.DeadLettered)
				}
				up.Store(true)
				pass(2 * time.Hour)
				s := w.end()
				if s.DeadLettered != 1 || s.Settled != 1102 || !whole && s.Poison != 1 {
					t.Errorf("got %+v, want one dead letter and the rest delivered", s)
				}
				if _, ok := w.log.KV()["dead/up/0000000000000066"]; !ok {
					t.Error("the poison is not in the dead letters")
				}
			})
		})
	}
}

// TestBudgetIsKept: not more bytes a second than it says, and not much less; what is urgent passes.
func TestBudgetIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type sent struct {
			at    time.Time
			bytes int
		}
		var mu sync.Mutex // guards all
		var all []sent
		w := start(t, func(_ context.Context, batch []gateway.Entry) error {
			n := 0
			for i := range batch {
				n += sizeOf(&batch[i])
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, sent{time.Now(), n})
			return nil
		}, func(o *Options, _ *gatewaytest.FakeLog) {
			o.BatchSize = 2000
			o.Budget = Budget{Total: Rate{Bytes: 100_000}}
		})
		w.feedN(20_000) // about 5 MB
		pass(40 * time.Second)
		mu.Lock()
		begin := all[0].at
		for from := time.Duration(0); from < 25*time.Second; from += time.Second {
			n := 0
			for _, s := range all {
				if d := s.at.Sub(begin); d >= from && d < from+10*time.Second {
					n += s.bytes
				}
			}
			if n < 900_000 || n > 1_010_000 {
				t.Errorf("%d bytes in the ten seconds from %s, want 900,000 to 1,010,000", n, from)
			}
		}
		mu.Unlock()
		pass(time.Minute)
		w.end()
	})
}

// TestMonthIsKept stops at the month's budget, over a restart, and goes on in the next month.
func TestMonthIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		change := func(o *Options, _ *gatewaytest.FakeLog) {
			o.BatchSize = 10
			o.Routes = []Route{{Match: []string{"alarm"}, Priority: 9}, {}}
			o.Budget = Budget{Month: 3 << 20, Urgent: 9}
		}
		w := start(t, nil, change)
		w.feedN(20_000)
		pass(time.Hour)
		n := len(w.sink.Delivered())
		if s := w.f.Status(); s.State != gateway.StateHeld || s.Held == "" || s.Month > s.MonthLimit || n == 20_000 || n < 10_000 {
			t.Errorf("got %d delivered and %+v, want it held", n, s)
		}
		w.feed("alarm")
		pass(time.Second)
		if got := len(w.sink.Delivered()); got != n+1 {
			t.Errorf("got %d more, want the alarm", got-n)
		}
		w.stop()
		if err := <-w.ran; err != nil {
			t.Fatal(err)
		}
		w = w.again(t, change)
		pass(time.Hour)
		if got := len(w.sink.Delivered()); got > n+1+4096 { // what was not written down
			t.Errorf("a restart gave a new budget: %d more", got-n)
		}
		pass(32 * 24 * time.Hour)
		if got := len(w.sink.Delivered()); got != 20_001 {
			t.Errorf("got %d in the next month, want all", got)
		}
		w.stop()
		if err := <-w.ran; err != nil {
			t.Fatal(err)
		}
	})
}

// TestThrottlingIsNotAFailure: who is asked to wait waits as long, and says so.
func TestThrottlingIsNotAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		w := start(t, func(context.Context, []gateway.Entry) error {
			if time.Since(begin) < 10*time.Minute {
				return &gateway.RetryAfter{After: time.Minute, Err: errors.New("429")}
			}
			return nil
		}, nil)
		w.feedN(5)
		pass(5 * time.Minute)
		if s := w.f.Status(); s.State != gateway.StateThrottled || s.Failures != 0 || s.Attempts > 7 {
			t.Errorf("got %+v, want it throttled", s)
		}
		pass(10 * time.Minute)
		w.wantDelivered(upTo(5))
		w.end()
	})
}

// TestLiveFirstWithPriorities: each priority has a backlog of its own after an outage, and each comes to its end, outage after outage.
func TestLiveFirstWithPriorities(t *testing.T) {
	t.Parallel()
	for _, order := range []string{OldestFirst, NewestFirst} {
		synctest.Test(t, func(t *testing.T) {
			var up atomic.Bool
			w := start(t, func(context.Context, []gateway.Entry) error {
				if !up.Load() {
					return errDown
				}
				<-time.After(time.Millisecond)
				return nil
			}, func(o *Options, _ *gatewaytest.FakeLog) {
				o.CatchUp, o.Backlog = LiveFirst, order
				o.Routes = []Route{{Match: []string{"a/#"}, Priority: 9}, {Match: []string{"b/#"}, Priority: 5}, {}}
			})
			n := 0
			for range 8 {
				up.Store(false)
				for i := range 1200 {
					w.feed(fmt.Sprintf("%c/%d", 'a'+i%3, i))
					n++
				}
				pass(10 * time.Minute)
				up.Store(true)
				pass(3 * time.Minute)
			}
			pass(10 * time.Minute)
			if s := w.f.Status(); s.Waiting != 0 {
				t.Errorf("%s: got %d waiting in %+v, want none", order, s.Waiting, s.Lanes)
			}
			ids := map[string]bool{}
			for _, e := range w.sink.Delivered() {
				ids[e.Event.ID] = e.Event.Type != gateway.TypeProbe
			}
			maps.DeleteFunc(ids, func(_ string, event bool) bool { return !event })
			if len(ids) != n {
				t.Errorf("%s: got %d of %d events", order, len(ids), n)
			}
			w.stop()
			<-w.ran
		})
	}
}

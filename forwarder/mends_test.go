package forwarder

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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

// TestTheMonthIsChargedForWhatGoesOut: not for attempts that had no connection, not for what has expired, but for probes.
func TestTheMonthIsChargedForWhatGoesOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mode atomic.Value
		mode.Store("away")
		var out atomic.Int64
		w := start(t, func(_ context.Context, batch []gateway.Entry) error {
			if mode.Load() == "away" {
				return gateway.Unsent(errDown)
			}
			for i := range batch {
				out.Add(int64(sizeOf(&batch[i])))
			}
			if mode.Load() == "cut" {
				return errDown
			}
			return nil
		}, func(o *Options, _ *gatewaytest.FakeLog) {
			o.Routes = []Route{{Match: []string{"short/#"}, TTL: time.Minute}, {}}
			o.Budget = Budget{Month: 1 << 30}
		})
		w.f.trusted = nil
		w.feed("short/1", "short/2")
		w.feedN(5)
		pass(3 * time.Hour)
		if s := w.f.Status(); s.Month != 0 || s.Expired != 2 || s.Failures == 0 {
			t.Errorf("got %+v, want nothing spent without a connection, and two expired", s)
		}
		for _, next := range []string{"cut", "up"} { // what a cut line took counts each time, and so do probes
			mode.Store(next)
			pass(time.Hour)
			if s := w.f.Status(); s.Month != out.Load() || out.Load() == 0 {
				t.Errorf("%s: %d bytes of the month are spent, %d went out", next, s.Month, out.Load())
			}
		}
		w.end()
	})
}

// TestAMonthSmallerThanABatch: what is left of the month is used, to the last event that fits; what fits into no month is set aside.
func TestAMonthSmallerThanABatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil, func(o *Options, _ *gatewaytest.FakeLog) {
			o.Budget = Budget{Month: 4 * 270}
		})
		w.feed(strings.Repeat("x", 1000))
		w.feedN(10) // of about 262 bytes each
		pass(time.Hour)
		w.wantDelivered([]gateway.Offset{2, 3, 4, 5})
		if s := w.f.Status(); s.DeadLettered != 1 || s.State != gateway.StateHeld {
			t.Errorf("got %+v, want the large event in the dead letters, and the rest held", s)
		}
		pass(32 * 24 * time.Hour)
		w.wantDelivered([]gateway.Offset{2, 3, 4, 5, 6, 7, 8, 9})
		w.end()
	})
}

// TestAnAlarmDoesNotWaitWithAPause: what the endpoint asks of one priority, or a failure of it, does not hold a higher one; an equal one waits.
func TestAnAlarmDoesNotWaitWithAPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		w := start(t, func(_ context.Context, batch []gateway.Entry) error {
			calls.Add(1)
			if batch[0].Event.Subject == "alarm" {
				return nil
			}
			return &gateway.RetryAfter{After: time.Hour, Err: errors.New("too many requests")}
		}, func(o *Options, _ *gatewaytest.FakeLog) {
			o.Routes = []Route{{Match: []string{"alarm"}, Priority: 9}, {}}
			o.CatchUp = LiveFirst
		})
		w.feed("reading")
		pass(time.Second)
		w.feed("alarm", "reading")
		pass(time.Second)
		w.wantDelivered([]gateway.Offset{2})
		if n := calls.Load(); n != 2 {
			t.Errorf("%d attempts, want one of each", n)
		}
		pass(59 * time.Minute)
		if n := calls.Load(); n != 2 {
			t.Errorf("%d attempts within the hour that was asked for, want 2", n)
		}
		pass(2 * time.Minute)
		if n := calls.Load(); n < 3 {
			t.Errorf("%d attempts after the hour, want another", n)
		}
		w.stop()
		if err := <-w.ran; err != nil {
			t.Fatal(err)
		}
	})
}

// TestOnlyThePoisonIsConvicted: live events and a backlog share a connection, which poison in either breaks for both.
func TestOnlyThePoisonIsConvicted(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			var mu sync.Mutex // guards what follows
			var up bool
			broken := make(chan struct{}) // closed when the connection breaks
			w := start(t, func(_ context.Context, batch []gateway.Entry) error {
				mu.Lock()
				connection, ok, wait := broken, up, time.Duration(rng.IntN(100))*time.Millisecond
				mu.Unlock()
				if !ok {
					return errDown
				}
				select {
				case <-time.After(wait):
				case <-connection:
					return errors.New("connection reset")
				}
				if !slices.ContainsFunc(batch, func(e gateway.Entry) bool { return strings.HasPrefix(e.Event.Subject, "poison") }) {
					return nil
				}
				mu.Lock()
				defer mu.Unlock()
				if connection == broken {
					close(broken)
					broken = make(chan struct{})
				}
				return errors.New("connection reset")
			}, func(o *Options, _ *gatewaytest.FakeLog) {
				o.CatchUp, o.BatchSize, o.RetryMin, o.RetryMax = LiveFirst, 50, 100*time.Millisecond, 2*time.Second
			})
			set := func(to bool) {
				mu.Lock()
				defer mu.Unlock()
				up = to
			}
			set(true)
			w.feed("first")
			pass(10 * time.Second)
			set(false)
			w.feedN(600)
			w.feed("poison/1")
			w.feedN(200)
			w.feed("poison/2", "poison/3")
			pass(time.Minute)
			set(true)
			for i := range 300 {
				w.feed(fmt.Sprint("live/", i))
				if i == 100 || i == 200 {
					w.feed(fmt.Sprint("poison/live/", i))
				}
				pass(200 * time.Millisecond)
			}
			pass(time.Hour)
			w.stop()
			if err := <-w.ran; err != nil {
				t.Fatal(err)
			}
			letters := 0
			if err := Letters(w.log, "up", func(l gateway.DeadLetter) error {
				letters++
				if !strings.HasPrefix(l.Event.Subject, "poison") {
					t.Errorf("seed %d: %s is in the dead letters: %s", seed, l.Event.Subject, l.Cause)
				}
				return nil
			}); err != nil || letters != 5 {
				t.Errorf("seed %d: %d dead letters (%v), want the five", seed, letters, err)
			}
		})
	}
}

// TestPoisonThatIsTheFirst: with nothing delivered before, and nothing of another source, an event of the gateway's own tells.
func TestPoisonThatIsTheFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		probes := atomic.Int64{}
		w := start(t, func(_ context.Context, batch []gateway.Entry) error {
			if batch[0].Event.Type == gateway.TypeProbe {
				probes.Add(1)
				if err := batch[0].Event.Validate(); err != nil {
					t.Error(err)
				}
				return nil
			}
			if batch[0].Event.Subject == "poison" {
				return errors.New("connection reset")
			}
			return nil
		}, nil)
		w.feed("poison", "a", "b")
		pass(time.Hour)
		w.wantDelivered([]gateway.Offset{2, 3})
		if s := w.end(); s.Poison != 1 || probes.Load() == 0 || probes.Load() > poisonConvictions {
			t.Errorf("got %+v and %d probes, want the poison in the dead letters", s, probes.Load())
		}
	})
}

// TestNoProbesWithoutAConnection: an outage in which nothing went out suspects nobody, so that nothing but events is sent when it ends.
func TestNoProbesWithoutAConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		w := start(t, func(context.Context, []gateway.Entry) error {
			if up.Load() {
				return nil
			}
			return gateway.Unsent(errDown)
		}, nil)
		w.feedN(3)
		pass(time.Hour)
		up.Store(true)
		pass(2 * time.Minute)
		if got := w.sink.Delivered(); len(got) != 3 || got[0].Event.Type == gateway.TypeProbe {
			t.Errorf("delivered %v", got)
		}
		w.end()
	})
}

// TestOldCommandsWaitForTheClock: what may have expired before a reboot is not carried out while the time is not known; what came since is, in its time.
func TestOldCommandsWaitForTheClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var synced atomic.Bool
		w := start(t, nil, func(o *Options, log *gatewaytest.FakeLog) {
			o.Acts = true
			o.Routes = []Route{{Match: []string{"pump"}, TTL: time.Minute}, {}}
		})
		w.f.trusted = synced.Load
		w.feed("pump") // of this boot: the clock may be wrong, but it is the same
		pass(time.Second)
		w.wantDelivered(upTo(1))
		w.stop()
		if err := <-w.ran; err != nil {
			t.Fatal(err)
		}
		w.feed("lamp", "pump", "lamp")
		w.log.Reboot()
		next := w.again(t, func(o *Options, log *gatewaytest.FakeLog) {
			o.Acts = true
			o.Routes = []Route{{Match: []string{"pump"}, TTL: time.Minute}, {}}
		})
		next.f.trusted = synced.Load
		next.feed("pump")
		pass(30 * time.Second)
		next.wantDelivered(upTo(2)) // a lamp never expires
		if s := next.f.Status(); s.State != gateway.StateHeld || !strings.Contains(s.Held, "clock") {
			t.Errorf("got %+v, want held for the clock", s)
		}
		pass(20 * time.Second)
		synced.Store(true)
		pass(5 * time.Second)
		next.wantDelivered([]gateway.Offset{1, 2, 3, 4, 5})
		next.stop()
		if err := <-next.ran; err != nil {
			t.Fatal(err)
		}
	})
}

// TestManyLettersAreBookedAtOnce: 40,000 took more than six seconds.
func TestManyLettersAreBookedAtOnce(t *testing.T) {
	t.Parallel()
	book := letterBook{letters: map[string]*bookedLetter{}}
	began := time.Now()
	const n = 40_000
	for i := range n {
		book.add(bookedLetter{key: letterKey("up", gateway.Offset(i)), bytes: 100})
	}
	for i := range n { // all die again
		book.add(bookedLetter{key: letterKey("up", gateway.Offset(i)), bytes: 200})
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("%d letters took %s", 2*n, took)
	}
	if len(book.letters) != n || book.bytes != 200*n {
		t.Errorf("%d letters of %d bytes, want %d of %d", len(book.letters), book.bytes, n, 200*n)
	}
	left := 0
	for {
		gone, kv := book.drop(LetterBounds{Bytes: 1000}, time.Time{})
		if len(gone) == 0 {
			break
		}
		left += len(kv)
	}
	if left != n-5 || len(book.letters) != 5 || book.bytes != 1000 {
		t.Errorf("%d deleted, %d of %d bytes left, want 5", left, len(book.letters), book.bytes)
	}
}

// TestALetterThatTheLogRefusesIsKeptWithoutItsEvent: it does not stop the forwarder.
func TestALetterThatTheLogRefusesIsKeptWithoutItsEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(_ context.Context, batch []gateway.Entry) error {
			return gateway.Permanent(errors.New("bad request"))
		}, func(_ *Options, log *gatewaytest.FakeLog) {
			log.RefuseSubmit(func(b gateway.Batch) error {
				for _, kv := range b.KV {
					if len(kv.Value) > 2000 {
						return gateway.Permanent(errors.New("too large for the log"))
					}
				}
				return nil
			})
		})
		w.feed("small", strings.Repeat("x", 3000), "small")
		pass(time.Minute)
		s := w.end()
		if s.DeadLettered != 3 || s.Settled != 3 {
			t.Errorf("got %+v, want three dead letters", s)
		}
		var causes []string
		if err := Letters(w.log, "up", func(l gateway.DeadLetter) error {
			causes = append(causes, l.Cause)
			return nil
		}); err != nil || len(causes) != 3 || !strings.Contains(causes[1], "too large for a letter") {
			t.Errorf("got the causes %q (%v)", causes, err)
		}
	})
}

// TestTheMonthIsRememberedOverStops: also if less was sent than is worth a write of its own.
func TestTheMonthIsRememberedOverStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		month := func(o *Options, _ *gatewaytest.FakeLog) { o.Budget = Budget{Month: 1 << 30} }
		w := start(t, nil, month)
		sent := int64(0)
		for range 5 {
			w.feedN(10)
			pass(time.Second)
			w.stop()
			if err := <-w.ran; err != nil {
				t.Fatal(err)
			}
			before := w.f.Status().Month
			if before <= sent {
				t.Fatalf("%d bytes are spent after more was sent than %d", before, sent)
			}
			sent = before
			w = w.again(t, month)
			if got := w.f.Status().Month; got != sent {
				t.Errorf("%d bytes are spent after a restart, want %d", got, sent)
			}
		}
		w.stop()
		<-w.ran
	})
}

// TestReplayTakesWhatTheForwarderTakes: what its routes leave out stays out.
func TestReplayTakesWhatTheForwarderTakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil, func(o *Options, _ *gatewaytest.FakeLog) { o.Routes = []Route{{Match: []string{"a/#"}}} })
		w.feed("a/1", "b/1", "a/2", "b/2")
		pass(time.Second)
		if _, err := w.f.Replay(t.Context(), gateway.Replay{}); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		w.wantDelivered([]gateway.Offset{1, 3, 1, 3})
		if s := w.f.Status(); s.State != gateway.StateIdle {
			t.Errorf("the state is %s after a replay, want idle", s.State)
		}
		w.end()
	})
}

// TestReplayByTimeLooksAtEachEvent: a stretch of a boot without a clock, in the middle of the log, hides nothing.
func TestReplayByTimeLooksAtEachEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil, nil)
		since := time.Now().Add(time.Hour)
		w.feed("early")
		pass(2 * time.Hour)
		w.feed("wanted/1")
		w.log.Backdate(-50 * 365 * 24 * time.Hour)
		w.feed("1970")
		w.log.Backdate(0)
		pass(time.Minute)
		w.feed("wanted/2")
		until := time.Now().Add(time.Second)
		pass(time.Hour)
		w.feed("late")
		pass(time.Second)
		if _, err := w.f.Replay(t.Context(), gateway.Replay{Since: since, Until: until}); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		w.wantDelivered([]gateway.Offset{1, 2, 3, 4, 5, 2, 4})
		w.end()
	})
}

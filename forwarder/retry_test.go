package forwarder

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gateway"
	"gateway/internal/gatewaytest"
)

func TestBackoffIsJitteredBoundedAndResetByProgress(t *testing.T) {
	t.Parallel()
	b := backoff{min: time.Second, max: 10 * time.Second}
	down := errors.New("down")
	seen := map[time.Duration]bool{}
	for range 200 {
		b.progress()
		for i, ceiling := range []time.Duration{1, 2, 4, 8, 10, 10, 10} {
			got := b.after(down)
			if got < 0 || got > ceiling*time.Second {
				t.Fatalf("wait %d: got %s, want 0 to %ds", i+1, got, ceiling)
			}
			seen[got] = true
		}
	}
	if len(seen) < 1000 {
		t.Errorf("%d different waits of 1400: no jitter", len(seen))
	}
	for range 100 {
		if got := b.after(fmt.Errorf("x: %w", &gateway.RetryAfter{After: 90 * time.Second, Err: down})); got != 90*time.Second {
			t.Fatalf("RetryAfter: got %s, want 90s", got)
		}
		if got := b.after(gateway.Blocked(down)); got < 5*time.Second || got > 10*time.Second {
			t.Fatalf("blocked: got %s, want 5s to 10s", got)
		}
	}
	for range 100 {
		b.after(down) // no overflow
	}
}

func TestProgressResetsTheBackoff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(_ context.Context, batch []gateway.Entry) error { // one event a time gets through
			b := &gateway.BatchError{Errors: make([]error, len(batch))}
			for i := 1; i < len(batch); i++ {
				b.Errors[i] = errors.New("cut")
			}
			return b
		}, func(o *Options, _ *gatewaytest.FakeLog) { o.BatchSize, o.RetryMax = 100, time.Hour })
		began := time.Now()
		w.feedN(60)
		for w.f.Status().Waiting > 0 {
			pass(time.Second)
		}
		if took := time.Since(began); took > 61*time.Second {
			t.Errorf("60 attempts with progress took %s, want less than RetryMin of 1s each", took)
		}
		w.end()
	})
}

func TestRetriesForEverAndLogsTheChangesOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		w := start(t, func(context.Context, []gateway.Entry) error {
			if up.Load() {
				return nil
			}
			return errors.New("connection refused")
		}, nil)
		w.feedN(3)
		pass(time.Hour)
		s := w.f.Status()
		if s.State != gateway.StateRetrying || s.Settled != 0 || s.Failures < 60 || s.LastError != "connection refused" || s.Lag < time.Hour {
			t.Errorf("got %+v, want retrying with at least 60 failures and a lag of an hour", s)
		}
		if n := w.out.lines("delivery failed"); n < 5 || n > 13 {
			t.Errorf("%d lines in an hour, want one each five minutes", n)
		}
		up.Store(true)
		pass(2 * time.Minute)
		if n := w.out.lines("delivering again"); n != 1 {
			t.Errorf("%d lines about the recovery, want 1", n)
		}
		w.wantDelivered(upTo(3))
		if s := w.end(); s.LastError != "" {
			t.Errorf("last error %q after a success", s.LastError)
		}
	})
}

func TestBlockedKeepsEventsAndIsLoud(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		w := start(t, func(context.Context, []gateway.Entry) error {
			if up.Load() {
				return nil
			}
			return gateway.Blocked(errors.New("bad password"))
		}, nil)
		w.feedN(3)
		synctest.Wait()
		if s := w.f.Status(); s.State != gateway.StateBlocked {
			t.Errorf("got %+v, want blocked", s)
		}
		if n := w.out.lines("level=ERROR"); n != 1 {
			t.Errorf("%d error lines at first, want 1", n)
		}
		pass(time.Hour)
		if s := w.f.Status(); s.Attempts < 60 || s.Attempts > 121 {
			t.Errorf("%d attempts in an hour, want one in 30 to 60 s", s.Attempts)
		}
		if n := w.out.lines("level=ERROR"); n < 5 || n > 13 {
			t.Errorf("%d error lines in an hour, want one each five minutes", n)
		}
		up.Store(true)
		pass(2 * time.Minute)
		if n := w.out.lines("delivering again"); n != 1 {
			t.Errorf("%d lines about the recovery, want 1", n)
		}
		if s := w.end(); s.Delivered != 3 || s.DeadLettered != 0 {
			t.Errorf("got %+v, want 3 delivered", s)
		}
	})
}

func TestRetryAfterIsObeyed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		w := start(t, func(context.Context, []gateway.Entry) error {
			if at = append(at, time.Now()); len(at) == 1 {
				return &gateway.RetryAfter{After: 17 * time.Minute, Err: errors.New("busy")}
			}
			return nil
		}, nil)
		w.feedN(1)
		pass(time.Hour)
		if len(at) != 2 || at[1].Sub(at[0]) != 17*time.Minute {
			t.Errorf("attempts at %v, want two, 17 minutes apart", at)
		}
		w.end()
	})
}

func TestASinkThatAnswersForTooFewEventsLosesNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first := true
		w := start(t, func(_ context.Context, batch []gateway.Entry) error {
			if first {
				first = false
				return errors.Join(&gateway.BatchError{Errors: make([]error, 1)})
			}
			return nil
		}, nil)
		w.feedN(3)
		pass(time.Minute)
		w.wantDelivered(upTo(3))
		w.end()
	})
}

func TestStopLetsASendFinish(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(ctx context.Context, _ []gateway.Entry) error {
			select {
			case <-time.After(4 * time.Second): // DrainTimeout is 5
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}, nil)
		w.feedN(3)
		synctest.Wait()
		began := time.Now()
		s := w.end()
		if s.Delivered != 3 || s.Failures != 0 || time.Since(began) > 4*time.Second {
			t.Errorf("after %s got %+v, want 3 delivered in 4s", time.Since(began), s)
		}
	})
}

func TestStopGivesBackWhatTakesTooLongAndIsNoAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(ctx context.Context, batch []gateway.Entry) error {
			<-ctx.Done()
			b := &gateway.BatchError{Errors: make([]error, len(batch))}
			b.Errors[2] = context.Cause(ctx)
			return b
		}, nil)
		w.feedN(4)
		synctest.Wait()
		began := time.Now()
		s := w.end()
		if s.Settled != 2 || s.Attempts != 0 || s.Failures != 0 || s.DeadLettered != 0 || s.Retried != 0 {
			t.Errorf("got %+v, want the 2 delivered settled, and no attempt counted", s)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("stopping took %s, want the DrainTimeout of 5s", took)
		}
	})
}

func TestStopEndsTheWaitBetweenAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(context.Context, []gateway.Entry) error {
			return &gateway.RetryAfter{After: 24 * time.Hour, Err: errors.New("busy")}
		}, nil)
		w.feedN(1)
		synctest.Wait()
		began := time.Now()
		w.end()
		if took := time.Since(began); took != 0 {
			t.Errorf("stopping took %s, want none", took)
		}
	})
}

func TestAFailedLogEndsTheRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil, nil)
		w.log.FailCommits(errors.New("disk is gone"))
		w.feedN(1)
		if err := <-w.ran; err == nil || !strings.Contains(err.Error(), "disk is gone") {
			t.Errorf("run ended with %v, want the log's error", err)
		}
		w.stop()
	})
}

func TestAFullLogDelaysADeadLetterAndLosesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(context.Context, []gateway.Entry) error { return gateway.Permanent(errors.New("never")) }, nil)
		w.log.RefuseSubmit(func(b gateway.Batch) error {
			if len(b.KV) > 0 {
				return gateway.ErrFull
			}
			return nil
		})
		w.feedN(1)
		pass(time.Hour)
		if s := w.f.Status(); s.Settled != 0 || s.DeadLettered != 0 {
			t.Errorf("got %+v, want nothing settled", s)
		}
		w.log.RefuseSubmit(nil)
		pass(2 * time.Minute)
		if s := w.end(); s.DeadLettered != 1 || len(w.log.KV()) != 1 {
			t.Errorf("got %+v and %d letters, want 1", s, len(w.log.KV()))
		}
	})
}

func TestTheNextBatchIsReadWhileOneIsSentAndItsBytesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		largest := 0
		w := start(t, func(_ context.Context, batch []gateway.Entry) error {
			<-gate
			size := 0
			for i := range batch {
				size += len(batch[i].Event.Data)
			}
			largest = max(largest, size)
			return nil
		}, func(o *Options, _ *gatewaytest.FakeLog) { o.BatchSize = 1000 })
		events := make([]gateway.Event, 40)
		for i := range events {
			events[i] = gateway.Event{Source: "//t", Type: "t", Subject: "s", Data: make([]byte, 250<<10)}
		}
		for i := range events { // one by one, so that the first batch is small
			if _, err := w.log.Append(t.Context(), events[i]); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		w.f.mu.Lock()
		ahead := w.f.lanes[0].inHand
		w.f.mu.Unlock()
		ahead.mu.Lock()
		n, bytes := len(ahead.entries), ahead.bytes
		ahead.mu.Unlock()
		if n < 2 || bytes > Default().BatchBytes+300<<10 {
			t.Errorf("%d entries of %d bytes are read ahead, want some, and about 1 MiB at most", n, bytes)
		}
		close(gate)
		synctest.Wait()
		if largest > Default().BatchBytes {
			t.Errorf("a batch of %d bytes, want %d at most", largest, Default().BatchBytes)
		}
		w.wantDelivered(upTo(40))
		w.end()
	})
}

func TestNewSaysAllThatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := New(Options{Name: "a/b", Routes: []Route{{Match: []string{"a/#/b"}}}, BatchSize: 0, RetryMin: 0, RetryMax: -1, DrainTimeout: -1})
	if err == nil {
		t.Fatal("want an error")
	}
	for _, want := range []string{"name:", "match:", "batch_size:", "retry_min:", "retry_max:", "drain_timeout:", "sink, log and logger:"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to say %q", err, want)
		}
	}
}

package forwarder

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"gateway"
)

// repeatEvery is how often a failure that goes on is logged again.
const repeatEvery = 5 * time.Minute

// trouble is a run of failed attempts, for the log.
type trouble struct {
	state    string // "" while all is well
	since    time.Time
	logged   time.Time
	failures int
}

// attempted counts an attempt and logs the change that it brought. cause is nil if all was settled; else left events will be sent again.
func (f *Forwarder) attempted(cause error, left int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.Attempts++
	f.status.Answers[answerOf(cause)]++
	f.status.Held = ""
	if cause == nil {
		f.status.LastError = ""
		f.enter(gateway.StateDelivering)
		f.recovered()
		return
	}
	f.status.LastError = cause.Error()
	var wait *gateway.RetryAfter
	throttled := errors.As(cause, &wait)
	if !throttled && !errors.Is(cause, gateway.ErrUnsent) {
		f.status.Retried += uint64(left)
	}
	if throttled { // not a failure
		f.enter(gateway.StateThrottled)
		return
	}
	f.status.Failures++
	state := gateway.StateRetrying
	if errors.Is(cause, gateway.ErrBlocked) {
		state = gateway.StateBlocked
	}
	f.enter(state)
	f.failed(state, cause)
}

// answerOf is the class of what came of an attempt.
func answerOf(cause error) string {
	var wait *gateway.RetryAfter
	switch {
	case cause == nil:
		return "delivered"
	case errors.As(cause, &wait):
		return gateway.StateThrottled
	case errors.Is(cause, gateway.ErrBlocked):
		return gateway.StateBlocked
	}
	return gateway.StateRetrying
}

// failed logs the first failure, a change between retrying and blocked, and then a line at intervals. f.mu is held.
func (f *Forwarder) failed(state string, cause error) {
	t, now := &f.trouble, time.Now()
	if t.failures == 0 {
		t.since = now
	}
	t.failures++
	if t.state == state && now.Sub(t.logged) < repeatEvery {
		return
	}
	t.state, t.logged = state, now
	level, message := slog.LevelWarn, "delivery failed, trying again"
	if state == gateway.StateBlocked {
		level, message = slog.LevelError, "the endpoint refuses us: events are kept and attempts go on, but a person must look"
	}
	f.o.Logger.Log(context.Background(), level, message, "cause", cause, "failures", t.failures, "for", now.Sub(t.since).Round(time.Second))
}

// unreadable counts a failure to read the log behind settled and logs it like a failed attempt.
func (f *Forwarder) unreadable(cause error, settled gateway.Offset) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.Failures++
	f.status.LastError = cause.Error()
	f.enter(gateway.StateBlocked)
	t, now := &f.trouble, time.Now()
	if t.failures == 0 {
		t.since = now
	}
	t.failures++
	if t.state == unreadableState && now.Sub(t.logged) < repeatEvery {
		return
	}
	t.state, t.logged = unreadableState, now
	f.o.Logger.Error("the log cannot be read here: nothing is delivered until it can; events are still taken; copy the data directory and see to the disk",
		"cause", cause, "settled", uint64(settled), "failures", t.failures)
}

// unreadableState is trouble.state while the log, not the endpoint, is to blame.
const unreadableState = "unreadable"

// recovered ends the trouble. f.mu is held.
func (f *Forwarder) recovered() {
	if f.trouble.failures == 0 {
		return
	}
	f.o.Logger.Info("delivering again", "failures", f.trouble.failures, "after", time.Since(f.trouble.since).Round(time.Millisecond))
	f.trouble = trouble{}
}

// buried logs dead letters, once in an interval with their number.
func (f *Forwarder) buried(first gateway.Offset, dead []casualty) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range dead {
		switch c.class() {
		case gateway.DeadExpired:
			f.status.Expired++
		case gateway.DeadPoison:
			f.status.Poison++
		}
	}
	d := &f.deaths
	d.unlogged, d.last, d.cause = d.unlogged+len(dead), first, dead[0].cause
	if time.Since(d.logged) >= repeatEvery {
		d.log(f.o.Logger)
	}
}

// deaths are dead letters that no line was written of yet.
type deaths struct {
	unlogged int
	last     gateway.Offset
	cause    error
	logged   time.Time
}

func (d *deaths) log(logger *slog.Logger) {
	if d.unlogged == 0 {
		return
	}
	logger.Error("events that can never be delivered are in the dead letters now",
		"events", d.unlogged, "offset", uint64(d.last), "cause", d.cause)
	*d = deaths{logged: time.Now()}
}

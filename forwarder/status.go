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

// Status is a snapshot.
func (f *Forwarder) Status() gateway.ForwarderStatus {
	logStatus := f.o.Log.Status()
	f.mu.Lock()
	s, oldest, ahead := f.status, f.oldest, f.ahead
	f.mu.Unlock()
	if from := max(s.Settled, max(logStatus.First, 1)-1); logStatus.Last > from {
		s.Waiting = uint64(logStatus.Last - from)
	}
	if s.Waiting > 0 && s.State == gateway.StateIdle {
		s.State = gateway.StateDelivering
	}
	if oldest.IsZero() && ahead != nil {
		oldest = ahead.oldest()
	}
	if s.Waiting > 0 && !oldest.IsZero() {
		s.Lag = max(time.Since(oldest), 0)
	}
	return s
}

func (f *Forwarder) started(ahead *prefetch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ahead = ahead
	f.enter(gateway.StateIdle)
}

func (f *Forwarder) stopped() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ahead, f.oldest = nil, time.Time{}
	f.enter(gateway.StateStopped)
}

// enter changes the state, under f.mu.
func (f *Forwarder) enter(state string) {
	if f.status.State != state {
		f.status.State, f.status.Since = state, time.Now()
	}
}

// waiting says that nothing is there to be delivered.
func (f *Forwarder) waiting() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.enter(gateway.StateIdle)
}

// took says that events are in hand, the oldest of which was received then.
func (f *Forwarder) took(received time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.oldest = received
	if f.status.State == gateway.StateIdle {
		f.enter(gateway.StateDelivering)
	}
}

// settledTo counts what was settled of b, which leads to the offset to.
func (f *Forwarder) settledTo(to gateway.Offset, b *batch, delivered, skipped, dead int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.Settled = to
	f.status.Delivered += uint64(delivered)
	f.status.Skipped += uint64(skipped)
	f.status.DeadLettered += uint64(dead)
	f.oldest = time.Time{}
	if b.settled < len(b.entries) {
		f.oldest = b.entries[b.settled].Received
	}
}

// attempted counts an attempt and logs the change that it brought. cause is nil if all was settled; else left events will be sent again.
func (f *Forwarder) attempted(cause error, left int) {
	f.mu.Lock()
	f.status.Attempts++
	state := gateway.StateDelivering
	f.status.LastError = ""
	if cause != nil {
		state = gateway.StateRetrying
		if errors.Is(cause, gateway.ErrBlocked) {
			state = gateway.StateBlocked
		}
		f.status.Failures++
		f.status.Retried += uint64(left)
		f.status.LastError = cause.Error()
	}
	f.enter(state)
	f.mu.Unlock()
	if cause == nil {
		f.recovered()
		return
	}
	f.failed(state, cause)
}

// failed logs the first failure, a change between retrying and blocked, and then a line at intervals.
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

// unreadable counts a failure to read the log and logs it like a failed attempt.
func (f *Forwarder) unreadable(cause error) {
	f.mu.Lock()
	f.status.Failures++
	f.status.LastError = cause.Error()
	f.enter(gateway.StateBlocked)
	f.mu.Unlock()
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
		"cause", cause, "settled", uint64(f.saved.at), "failures", t.failures)
}

// unreadableState is trouble.state while the log, not the endpoint, is to blame.
const unreadableState = "unreadable"

func (f *Forwarder) recovered() {
	if f.trouble.failures == 0 {
		return
	}
	f.o.Logger.Info("delivering again", "failures", f.trouble.failures, "after", time.Since(f.trouble.since).Round(time.Millisecond))
	f.trouble = trouble{}
}

// buried logs dead letters, once in an interval with their number.
func (f *Forwarder) buried(first gateway.Offset, n int, cause error) {
	d := &f.deaths
	d.unlogged, d.last, d.cause = d.unlogged+n, first, cause
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

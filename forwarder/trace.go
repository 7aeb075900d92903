package forwarder

import (
	"errors"
	"fmt"
	"time"

	"gateway"
)

// attemptsKept bounds what is remembered of attempts, for Trace.
const attemptsKept = 1024

// attempts is a ring of the newest attempts. Guarded by f.mu.
type attempts struct {
	list [attemptsKept]gateway.Attempt
	n    int // ever noted
}

// noteAttempt remembers a Send.
func (f *Forwarder) noteAttempt(l *lane, part []gateway.Entry, at time.Time, took time.Duration, settled int, err error) {
	a := gateway.Attempt{
		Lane: l.name, At: at, Took: took, From: part[0].Offset, To: part[len(part)-1].Offset, Events: len(part), Settled: settled,
	}
	if err != nil {
		a.Answer = err.Error()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.attempts.list[f.attempts.n%attemptsKept] = a
	f.attempts.n++
}

// Trace says what this forwarder did with an event of the log, or why it did not. The error is the log's.
func (f *Forwarder) Trace(e *gateway.Entry) (gateway.ForwarderTrace, error) {
	t := gateway.ForwarderTrace{Forwarder: f.o.Name, Sink: f.o.Sink.Name()}
	letter, err := oneLetter(f.o.Log, letterKey(f.o.Name, e.Offset))
	if err != nil {
		return t, fmt.Errorf("forwarder %q: look for a dead letter: %w", f.o.Name, err)
	}
	if letter != nil {
		d := letter.letter()
		t.Letter = &d
	}
	route, undecided := f.routing.decide(&e.Event)
	for i := range f.routing.routes {
		if route == &f.routing.routes[i] {
			t.Route = i + 1
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	t.Attempts = f.attemptsOf(e.Offset)
	switch l, ahead := f.laneOf(e, route); {
	case route == nil && !isGap(&e.Event):
		t.State = gateway.TraceSkipped
		if len(undecided) > 0 {
			t.Why = errors.Join(undecided...).Error()
		}
	case l != nil:
		t.State, t.Lane, t.Ahead, t.Why = gateway.TraceWaiting, l.name, ahead, f.status.Held
		if t.Why == "" {
			t.Why = f.status.LastError
		}
	case t.Letter != nil:
		t.State = gateway.TraceDead
	default:
		t.State = gateway.TraceDelivered
	}
	return t, nil
}

// attemptsOf are those that had the offset in them. f.mu is held.
func (f *Forwarder) attemptsOf(offset gateway.Offset) (found []gateway.Attempt) {
	for i := max(0, f.attempts.n-attemptsKept); i < f.attempts.n; i++ {
		if a := f.attempts.list[i%attemptsKept]; a.From <= offset && offset <= a.To {
			found = append(found, a)
		}
	}
	return found
}

// laneOf is the lane that has still to deal with e, nil if none has; ahead is how many offsets come before. f.mu is held.
func (f *Forwarder) laneOf(e *gateway.Entry, route *Route) (l *lane, ahead uint64) {
	priority := f.routing.lowest()
	if route != nil && len(f.routing.routes) > 0 {
		priority = route.Priority
	}
	for _, l := range f.lanes {
		if l.track.priority != priority {
			continue
		}
		if !l.isBacklog() && e.Offset > l.track.live {
			return l, uint64(e.Offset - l.track.live - 1)
		}
		if !l.isBacklog() {
			continue
		}
		for _, s := range l.track.backlog {
			if e.Offset > s.at && e.Offset <= s.to {
				return l, ahead + uint64(e.Offset-s.at-1)
			}
			ahead += uint64(s.to - s.at)
		}
	}
	return nil, 0
}

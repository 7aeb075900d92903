package forwarder

import (
	"context"
	"time"

	"gateway"
)

// runReplay delivers what is left of j, until it is done or ctx ends.
func (f *Forwarder) runReplay(ctx, sending context.Context, j *replay) error {
	what := j.status.Replay
	work := &job{
		takes: func(e *gateway.Entry) bool {
			if isGap(&e.Event) {
				return false
			}
			own, _ := f.routing.of(&e.Event)
			route, _ := j.routes.of(&e.Event)
			return own != nil && route != nil
		},
		mark:    func(e *gateway.Event) { markReplay(e, j.status.ID, what.NewIDs) },
		at:      func(at gateway.Offset) *gateway.KeyValue { return f.replays.reached(j, at) },
		counted: func(delivered, skipped, dead, known int) { f.replays.counted(j, delivered, skipped, dead, known) },
	}
	if what.Rate > 0 {
		work.rate = newBucket(what.Rate, time.Second, time.Now())
	}
	l := f.newJobLane("replay "+j.status.ID, work)
	l.begin(ctx, j.status.At, what.To)
	defer l.leave()
	for l.saved.position() < what.To && ctx.Err() == nil {
		if what.To < f.o.Log.Status().First { // all of it is gone: nothing that comes is meant
			l.saved.skipped = what.To
			break
		}
		if err := l.deliverNext(ctx, sending); err != nil {
			return err
		}
	}
	f.replays.reached(j, min(l.saved.position(), what.To))
	f.waits(l)
	return nil
}

// markReplay says in an event that it is delivered once more.
func markReplay(e *gateway.Event, id string, newID bool) {
	withExtension(e, gateway.ExtReplay, id)
	if newID {
		e.ID += "+" + id
	}
}

// reached notes how far j is, and returns what is to be written down now.
func (r *replays) reached(j *replay, at gateway.Offset) *gateway.KeyValue {
	r.mu.Lock()
	defer r.mu.Unlock()
	j.status.At = at
	if time.Since(j.saved) < replaySaved {
		return nil
	}
	j.saved = time.Now()
	kv := r.value(j.status)
	return &kv
}

func (r *replays) counted(j *replay, delivered, skipped, dead, duplicates int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	j.status.Delivered += uint64(delivered)
	j.status.Skipped += uint64(skipped)
	j.status.DeadLettered += uint64(dead)
	j.status.Duplicates += uint64(duplicates)
}

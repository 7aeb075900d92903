package forwarder

import (
	"context"
	"time"

	"gateway"
)

// job is what a lane delivers beside the order of the log: a replay, or dead letters once more. Its lane is one of the backlog at the gate, and
// within the same budgets. What it delivers does not expire: somebody asked for it.
type job struct {
	// takes says whether an entry is meant; nil for all.
	takes func(*gateway.Entry) bool
	// mark changes an event that is sent. Its maps may be shared.
	mark func(*gateway.Event)
	// settled returns what is to be written for entries that are dealt with; nil for nothing.
	settled func([]gateway.Entry) []gateway.KeyValue
	// at notes how far the job is, and returns what is to be written for that now, nil for nothing.
	at func(gateway.Offset) *gateway.KeyValue
	// counted is told what was delivered, passed over, set aside, and known to the receiver.
	counted func(delivered, skipped, dead, duplicates int)
	// rate bounds it; nil for no bound of its own.
	rate *bucket
}

func (f *Forwarder) newJobLane(name string, j *job) *lane {
	track := &track{priority: f.routing.lowest()}
	return &lane{f: f, place: placeBacklog, track: track, name: name, job: j, backoff: backoff{min: f.o.RetryMin, max: f.o.RetryMax}}
}

// throttle waits until the job's own rate allows n events, and returns how many it does; 0 if ctx ended.
func (j *job) throttle(ctx context.Context, n int) int {
	if j == nil || j.rate == nil {
		return n
	}
	n = max(1, min(n, j.rate.holds()))
	for ctx.Err() == nil {
		now := time.Now()
		wait := j.rate.wait(float64(n), now)
		if wait == 0 {
			j.rate.take(float64(n), now)
			return n
		}
		pause(ctx, wait)
	}
	return 0
}

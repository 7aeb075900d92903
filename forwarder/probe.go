package forwarder

import (
	"context"
	"fmt"
	"time"

	"gateway"
)

// probeBack is how far back in the log something to send again is looked for.
const probeBack = 200

// probe sends something else, to see whether it is the endpoint or the event that fails. What is sent was delivered before,
// so the receiver drops it by its ID, and no order is broken; where there is nothing of the kind, it is an event of the gateway's own.
func (l *lane) probe(ctx, sending context.Context, b *batch) error {
	f := l.f
	if f.o.Acts {
		l.trial.unprobed()
		return nil
	}
	cause := l.trial.cause
	sent := []gateway.Entry{l.known(ctx, b)}
	f.charge(sent, l.late(b))
	done, dead, refusal := outcome(sent, f.o.Sink.Send(sending, sent))
	if sending.Err() != nil {
		return nil
	}
	f.attempted(refusal, 1-done)
	through := done == 1 && len(dead) == 0
	poison := l.trial.probed(through)
	if !through && refusal != nil {
		l.failed(refusal)
		return nil
	}
	f.gate.mark(false)
	f.gate.hold(l.track.priority, l.backoff.after(cause), false)
	if !poison {
		return nil
	}
	l.backoff.progress()
	l.trial.progressed(f.o.BatchSize)
	return l.settle(ctx, b, 1, []casualty{{0, &errPoison{cause}}})
}

// known is an event that was delivered: the last one of this run or, if there is none, one that is still in the log; or an event of
// another source, which will be sent once more in its turn; or one that says nothing but that it is a probe.
func (l *lane) known(ctx context.Context, b *batch) gateway.Entry {
	f := l.f
	f.mu.Lock()
	recent := f.recent
	f.mu.Unlock()
	if recent.Offset != 0 {
		return recent
	}
	if e, ok := l.before(ctx, b.matched[0].Offset); ok {
		return e
	}
	for i := range b.matched {
		if e := &b.matched[i].Event; e.Source != b.matched[0].Event.Source && !isGap(e) {
			return b.matched[i]
		}
	}
	return f.ownProbe(b.matched[0].Offset)
}

// ownProbe is an event of the gateway's own. It is in no log.
func (f *Forwarder) ownProbe(at gateway.Offset) gateway.Entry {
	now := time.Now()
	return gateway.Entry{Offset: at, Received: now, Event: gateway.Event{
		ID: fmt.Sprintf("probe-%s-%d-%d", f.o.Name, at, now.UnixNano()), Source: f.source(), Type: gateway.TypeProbe, Subject: gateway.TopicProbe, Time: now,
	}}
}

// before is the newest event before offset that goes by this lane.
func (l *lane) before(ctx context.Context, offset gateway.Offset) (found gateway.Entry, ok bool) {
	if offset <= 1 || l.isBacklog() {
		return found, false
	}
	at := offset - 1 - min(offset-1, probeBack)
	reader := l.f.o.Log.NewReader(at)
	defer func() { _ = reader.Close() }() // it was only read
	for {
		entries, err := reader.Next(ctx, probeBack)
		if err != nil {
			return found, ok
		}
		for i := range entries {
			if entries[i].Offset >= offset {
				return found, ok
			}
			if route, _ := l.routeOf(&entries[i], false); route != nil {
				found, ok = entries[i], true
			}
		}
	}
}

package forwarder

import (
	"context"

	"gateway"
)

// probeBack is how far back in the log something to send again is looked for.
const probeBack = 200

// probe sends something else, to see whether it is the endpoint or the event that fails. What is sent was delivered before,
// so the receiver drops it by its ID, and no order is broken. Without anything of the kind nothing is blamed.
func (l *lane) probe(ctx, sending context.Context, b *batch, cause error) error {
	f := l.f
	if f.o.NoProbes {
		return nil
	}
	known, ok := l.known(ctx, b)
	if !ok {
		return nil
	}
	sent := []gateway.Entry{known}
	done, dead, refusal := outcome(sent, f.o.Sink.Send(sending, sent))
	if sending.Err() != nil {
		return nil
	}
	f.attempted(refusal, 1-done)
	f.gate.mark(refusal != nil && down(refusal))
	if !l.trial.probed(done == 1 && len(dead) == 0) {
		return nil
	}
	l.trial.progressed(f.o.BatchSize)
	return l.settle(ctx, b, 1, []casualty{{0, &errPoison{cause}}})
}

// known is an event that was delivered: the last one of this run or, if there is none, one that is still in the log; or an event of
// another source, which will be sent once more in its turn.
func (l *lane) known(ctx context.Context, b *batch) (gateway.Entry, bool) {
	f := l.f
	f.mu.Lock()
	recent := f.recent
	f.mu.Unlock()
	if recent.Offset != 0 {
		return recent, true
	}
	if e, ok := l.before(ctx, b.matched[0].Offset); ok {
		return e, true
	}
	if isGap(&b.matched[0].Event) {
		return gateway.Entry{}, false
	}
	for i := range b.matched {
		if e := &b.matched[i].Event; e.Source != b.matched[0].Event.Source && !isGap(e) {
			return b.matched[i], true
		}
	}
	return gateway.Entry{}, false
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

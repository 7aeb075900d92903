package forwarder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"gateway"
)

const (
	// A cursor that has only passed over events is saved after so many of them, or bytes: it is not worth a sync of its own.
	skipEvents = 1000
	skipBytes  = 1 << 20
	// settleTimeout is the least time that the log gets to take a cursor during a stop.
	settleTimeout = time.Second
)

// savedCursor is the position that the log was given, and what was passed over since.
type savedCursor struct {
	at                  gateway.Offset
	skipped             gateway.Offset // the position after what was passed over; 0 if at has it all
	skipCount, skipSize int
}

// position is how far the lane has come, written down or not.
func (s *savedCursor) position() gateway.Offset { return max(s.at, s.skipped) }

// errStopping says that the run ended before the log could take what was settled; it will be delivered again.
var errStopping = errors.New("stopping")

// settle says that the first n matched events of b are dealt with; those in dead go to the dead letters, in the same
// write as the cursor. What does not match counts as settled up to the next that does.
func (l *lane) settle(ctx context.Context, b *batch, n int, dead []casualty) error {
	for from := 0; from < n; {
		letters, parts, upTo := l.f.letters(b, dead, n)
		for _, part := range parts {
			if err := l.f.write(ctx, gateway.Batch{KV: []gateway.KeyValue{part}}); err != nil {
				return err
			}
		}
		outcomes, err := l.f.tellMost(ctx, l.f.outcomes(b, dead[:len(letters)], from, upTo))
		if err != nil {
			return err
		}
		if err := l.settleStep(ctx, b, from, upTo, letters, outcomes); err != nil {
			return err
		}
		if len(letters) > 0 {
			l.f.buried(b.matched[dead[0].place].Offset, dead[:len(letters)])
			l.f.booked(letters, parts)
			if err := l.f.makeRoom(ctx); err != nil {
				return err
			}
		}
		dead, from = dead[len(letters):], upTo
	}
	b.matched = b.matched[n:]
	if b.routes != nil {
		b.routes = b.routes[n:]
	}
	return nil
}

// settleStep settles the matched events from up to (without) upTo in one write.
func (l *lane) settleStep(ctx context.Context, b *batch, from, upTo int, letters []gateway.KeyValue, outcomes []gateway.Event) error {
	to, entries := b.entries[len(b.entries)-1].Offset, len(b.entries)
	if upTo < len(b.matched) {
		// Up to the entry before it, not to the offset before it: a gap has the last of its offsets.
		for entries = b.settled; b.entries[entries].Offset < b.matched[upTo].Offset; entries++ {
			to = b.entries[entries].Offset
		}
	}
	var done []gateway.KeyValue
	if l.job != nil && l.job.settled != nil {
		done = l.job.settled(b.entries[b.settled:entries])
	}
	err := l.submit(ctx, to, gateway.Batch{KV: slices.Concat(letters, done), Events: outcomes})
	if errors.Is(err, gateway.ErrPermanent) { // too large for the log, whatever made it so: the events are in the log, what is said about them is not worth a stop
		l.f.o.Logger.Error("what was to be kept about settled events is too large for the log", "letters", len(letters), "outcomes", len(outcomes), "offset", uint64(to), "cause", err)
		err = l.submit(ctx, to, gateway.Batch{KV: append(shortened(letters), done...)})
	}
	if err != nil {
		return err
	}
	skipped := b.skipped(b.settled, entries, upTo-from)
	b.settled = entries
	l.f.settledTo(l, to, b, upTo-from-len(letters), skipped, len(letters))
	return nil
}

// shortened are the letters without their events.
func shortened(letters []gateway.KeyValue) []gateway.KeyValue {
	short := make([]gateway.KeyValue, len(letters))
	for i, kv := range letters {
		var d deadLetter
		if err := json.Unmarshal(kv.Value, &d); err != nil {
			d.Cause = err.Error()
		}
		d.Event, d.RawEvent, d.Parts = nil, nil, 0
		d.Cause = "the event is too large for a letter; " + d.Cause
		value, err := json.Marshal(d)
		if err != nil {
			value = []byte("{}")
		}
		short[i] = gateway.KeyValue{Key: kv.Key, Value: value}
	}
	return short
}

// skip settles a batch of which nothing matches. The cursor is not written for each.
func (l *lane) skip(ctx context.Context, b *batch) error {
	last := b.entries[len(b.entries)-1].Offset
	s := &l.saved
	s.skipped = last
	s.skipCount += len(b.entries)
	for i := range b.entries {
		s.skipSize += sizeOf(&b.entries[i])
	}
	b.settled = len(b.entries)
	l.f.settledTo(l, last, b, 0, b.skipped(0, len(b.entries), 0), 0)
	if s.skipCount < skipEvents && s.skipSize < skipBytes {
		return nil
	}
	return l.submit(ctx, last, gateway.Batch{})
}

// saveCursor gives the log the cursor, if it does not have it.
func (l *lane) saveCursor(ctx context.Context) error {
	if l.saved.skipped == 0 {
		return nil
	}
	return l.submit(ctx, l.saved.skipped, gateway.Batch{})
}

// submit moves the cursor, and writes change with it. It does not wait for the sync: what is settled and not yet
// durable is delivered again after a crash. The lane of a job has no cursor: it holds nothing back.
func (l *lane) submit(ctx context.Context, to gateway.Offset, change gateway.Batch) error {
	if l.job == nil {
		change.Cursors = []gateway.CursorMove{{Name: l.cursor, Offset: to}}
	} else if at := l.job.at(to); at != nil {
		change.KV = append(change.KV, *at)
	}
	if len(change.Cursors) > 0 || len(change.KV) > 0 || len(change.Events) > 0 {
		if err := l.f.write(ctx, change); err != nil {
			return fmt.Errorf("forwarder %q: settle up to %d: %w", l.f.o.Name, to, err)
		}
	}
	l.saved = savedCursor{at: to}
	return nil
}

// write hands b to the log, for as long as it takes. During a stop the log has a moment to take it.
func (f *Forwarder) write(ctx context.Context, b gateway.Batch) error {
	for {
		err := f.o.Log.Submit(ctx, b, f.committed)
		if err != nil && ctx.Err() != nil {
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(f.o.DrainTimeout, settleTimeout))
			err = f.o.Log.Submit(last, b, f.committed)
			cancel()
		}
		if !errors.Is(err, gateway.ErrFull) {
			return err
		}
		if len(b.Events) > 0 { // to settle is what makes room
			f.outcomesLost(len(b.Events))
			b.Events = nil
			continue
		}
		f.mu.Lock()
		f.failed(gateway.StateRetrying, fmt.Errorf("write %d dead letters: %w", len(b.KV), err))
		f.mu.Unlock()
		if !pause(ctx, f.o.RetryMax) {
			return errStopping
		}
	}
}

// committed is called by the log when a cursor is durable, or never will be.
func (f *Forwarder) committed(_ gateway.Offset, err error) {
	if err == nil {
		return
	}
	select {
	case f.broken <- err:
	default:
	}
}

package forwarder

import (
	"context"
	"errors"
	"fmt"
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

// errStopping says that the run ended before the log could take what was settled; it will be delivered again.
var errStopping = errors.New("stopping")

// settle says that the first n matched events of b are dealt with; those in dead go to the dead letters, in the same
// write as the cursor. What does not match counts as settled up to the next that does.
func (f *Forwarder) settle(ctx context.Context, b *batch, n int, dead []casualty) error {
	for from := 0; from < n; {
		letters, parts, upTo := f.letters(b, dead, n)
		for _, part := range parts {
			if err := f.write(ctx, gateway.Batch{KV: []gateway.KeyValue{part}}); err != nil {
				return err
			}
		}
		if err := f.settleStep(ctx, b, from, upTo, letters); err != nil {
			return err
		}
		if len(letters) > 0 {
			f.buried(b.matched[dead[0].place].Offset, len(letters), dead[0].cause)
		}
		dead, from = dead[len(letters):], upTo
	}
	b.matched = b.matched[n:]
	return nil
}

// settleStep settles the matched events from up to (without) upTo in one write.
func (f *Forwarder) settleStep(ctx context.Context, b *batch, from, upTo int, letters []gateway.KeyValue) error {
	to, entries := b.entries[len(b.entries)-1].Offset, len(b.entries)
	if upTo < len(b.matched) {
		// Up to the entry before it, not to the offset before it: a gap has the last of its offsets.
		for entries = b.settled; b.entries[entries].Offset < b.matched[upTo].Offset; entries++ {
			to = b.entries[entries].Offset
		}
	}
	if err := f.submit(ctx, to, letters); err != nil {
		return err
	}
	passed := entries - b.settled
	b.settled = entries
	f.settledTo(to, b, upTo-from-len(letters), passed-(upTo-from), len(letters))
	return nil
}

// skip settles a batch of which nothing matches. The cursor is not written for each.
func (f *Forwarder) skip(ctx context.Context, b *batch) error {
	last := b.entries[len(b.entries)-1].Offset
	s := &f.saved
	s.skipped = last
	s.skipCount += len(b.entries)
	for i := range b.entries {
		s.skipSize += sizeOf(&b.entries[i])
	}
	b.settled = len(b.entries)
	f.settledTo(last, b, 0, len(b.entries), 0)
	if s.skipCount < skipEvents && s.skipSize < skipBytes {
		return nil
	}
	return f.submit(ctx, last, nil)
}

// saveCursor gives the log the cursor, if it does not have it.
func (f *Forwarder) saveCursor(ctx context.Context) error {
	if f.saved.skipped == 0 {
		return nil
	}
	return f.submit(ctx, f.saved.skipped, nil)
}

// submit moves the cursor, and writes letters with it. It does not wait for the sync: what is settled and not yet
// durable is delivered again after a crash.
func (f *Forwarder) submit(ctx context.Context, to gateway.Offset, letters []gateway.KeyValue) error {
	move := []gateway.CursorMove{{Name: f.cursor, Offset: to}}
	if err := f.write(ctx, gateway.Batch{Cursors: move, KV: letters}); err != nil {
		return fmt.Errorf("forwarder %q: settle up to %d: %w", f.o.Name, to, err)
	}
	f.saved = savedCursor{at: to}
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
		f.failed(gateway.StateRetrying, fmt.Errorf("write %d dead letters: %w", len(b.KV), err))
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

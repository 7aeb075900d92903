package buffer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gateway"
)

// reader reads blocks one at a time. It never sees a block before it is durable.
type reader struct {
	log    *Log
	next   gateway.Offset
	rest   []gateway.Entry // of the block read last, from next on
	closed bool
}

var _ gateway.Reader = (*reader)(nil)

// NewReader returns a reader of what comes after the given offset; 0 is the beginning. Where a block is damaged, Next has a gap
// written down, and returns the entry that stands for it.
func (l *Log) NewReader(after gateway.Offset) gateway.Reader {
	return &reader{log: l, next: after + 1}
}

// gatherBytes is about how much data Next puts together out of small blocks.
const gatherBytes = 128 << 10

// Next implements gateway.Reader. The data of entries that it returns shares memory with other entries of their block.
func (r *reader) Next(ctx context.Context, max int) ([]gateway.Entry, error) {
	if max <= 0 {
		return nil, fmt.Errorf("read log: %d entries were asked for", max)
	}
	if len(r.rest) == 0 {
		if err := r.load(ctx); err != nil {
			return nil, err
		}
	}
	out := r.take(max)
	bytes := 0
	for len(out) < max && r.next <= r.log.durable() {
		for i := range out {
			bytes += len(out[i].Event.Data)
		}
		if bytes > gatherBytes || len(out) > max/2 {
			break
		}
		if err := r.load(ctx); err != nil {
			break // what there is comes first; the error comes again
		}
		out = append(out, r.take(max-len(out))...)
	}
	return out, nil
}

// take returns up to max of the rest.
func (r *reader) take(max int) []gateway.Entry {
	n := min(max, len(r.rest))
	out := r.rest[:n:n]
	r.rest = r.rest[n:]
	r.next = out[n-1].Offset + 1
	return out
}

// Close implements gateway.Reader.
func (r *reader) Close() error {
	r.closed, r.rest = true, nil
	return nil
}

func (l *Log) durable() gateway.Offset { return gateway.Offset(l.last.Load()) }

// load fills rest with the block that has next, and waits until there is one.
func (r *reader) load(ctx context.Context) error {
	for {
		if r.closed {
			return gateway.ErrClosed
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.log.tail.wait(ctx, r.log.durable, r.next); err != nil {
			return err
		}
		gap, pending, ok := r.log.gapAt(r.next)
		switch {
		case pending != nil:
			select {
			case <-pending:
			case <-ctx.Done():
			}
			continue
		case ok:
			r.rest = gap
			return nil
		}
		if r.behind() {
			continue
		}
		entries, err := r.log.readBlock(r.next)
		if errors.Is(err, ErrNotFound) {
			if r.behind() {
				continue
			}
			err = r.log.corrupt(r.next, errors.New("it is missing"))
		}
		if err != nil {
			if err := r.log.mend(ctx, r.next, err); err != nil {
				return err
			}
			continue
		}
		r.rest = entries
		return nil
	}
}

// behind says that what the reader wants was trimmed or lost, and moves it to what is kept, or to the gap before it.
func (r *reader) behind() bool {
	first := gateway.Offset(r.log.first.Load()) // before the gaps: what it has passed is in them
	if _, _, lost := r.log.gaps.at(r.next); lost {
		return true
	}
	if gap, ok := r.log.gaps.from(r.next); ok {
		first = min(first, gap.From)
	}
	if r.next >= first {
		return false
	}
	r.next = first
	return true
}

// gapAt returns, as the one entry that stands for it, what is left of the gap that offset is in; or what to wait for, if
// that gap is not durable yet.
func (l *Log) gapAt(offset gateway.Offset) (entries []gateway.Entry, pending <-chan struct{}, ok bool) {
	gap, pending, ok := l.gaps.at(offset)
	if !ok || pending != nil {
		return nil, pending, false
	}
	if gap.From < offset {
		gap.From, gap.Since = offset, time.Time{}
	}
	entry, err := gap.Entry(l.logID, l.epoch, l.o.Source)
	if err != nil { // a time of a clock out of its mind
		gap.Since, gap.Until, gap.Noticed = time.Time{}, time.Time{}, time.Time{}
		if entry, err = gap.Entry(l.logID, l.epoch, l.o.Source); err != nil {
			return nil, nil, false
		}
	}
	return []gateway.Entry{entry}, nil, true
}

// readBlock returns the entries of the durable block that has offset, from offset on.
func (l *Log) readBlock(offset gateway.Offset) ([]gateway.Entry, error) {
	if block := l.tail.find(offset); block != nil {
		return l.decodeFrom(block, offset, offset)
	}
	var entries []gateway.Entry
	err := l.engine.get(blockKey(offset), func(block []byte) (err error) {
		entries, err = l.decodeFrom(block, offset, offset)
		return err
	})
	if !errors.Is(err, ErrNotFound) {
		return entries, err
	}
	err = l.engine.blockBefore(offset, func(first gateway.Offset, block []byte) (err error) {
		entries, err = l.decodeFrom(block, first, offset)
		return err
	})
	return entries, err
}

// decodeFrom decodes block, found where one with the offset key should be, and returns its entries from offset on.
func (l *Log) decodeFrom(block []byte, key, offset gateway.Offset) ([]gateway.Entry, error) {
	l.usage.read(len(block))
	h, entries, err := l.dec.decode(block)
	if err != nil {
		return nil, l.corrupt(key, err)
	}
	if h.first > offset || h.last() < offset {
		return nil, ErrNotFound
	}
	return entries[offset-h.first:], nil
}

func (l *Log) corrupt(offset gateway.Offset, err error) error {
	return &CorruptError{Offset: offset, Dir: l.o.Dir, Err: err}
}

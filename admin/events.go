package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gateway"
)

// EventLog is a log that can be read: that of a running gateway, or one that was opened by hand. Its methods are safe for
// concurrent use.
type EventLog interface {
	Status() gateway.LogStatus
	NewReader(after gateway.Offset) gateway.Reader
}

// ErrNoEvent says that there is no event at an offset: not yet, or not any more.
var ErrNoEvent = errors.New("no such event")

// Events calls fn with the entries of log that q wants, in order, until all were given, fn returns an error, which it
// returns, or ctx ends. With q.Follow it goes on with what is appended, until To, or Limit without Last, is reached. It
// holds nothing of the log while fn runs, and its memory does not depend on how much is asked for.
func Events(ctx context.Context, log EventLog, q gateway.Query, fn func(gateway.Entry) error) error {
	return batches(ctx, log, q, func(entries []gateway.Entry) error {
		for i := range entries {
			if err := fn(entries[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// Event returns the entry at offset; where that is in a gap, the entry that stands for what is left of it from there on.
// The error wraps ErrNoEvent where there is none.
func Event(ctx context.Context, log EventLog, offset gateway.Offset) (gateway.Entry, error) {
	var found gateway.Entry
	stop := log.Status().Last
	if offset == 0 || offset > stop {
		return found, fmt.Errorf("%w: offset %d has not been given, the newest is %d", ErrNoEvent, offset, stop)
	}
	err := walk(ctx, log, offset, stop, func(entries []gateway.Entry) (more bool, err error) {
		found = entries[0]
		return false, nil
	})
	if err != nil {
		return found, err
	}
	if found.Offset != offset && !inGap(log, offset) {
		return gateway.Entry{}, fmt.Errorf("%w: offset %d is not kept any more, the oldest is %d", ErrNoEvent, offset, log.Status().First)
	}
	return found, nil
}

// inGap says whether offset is in a hole that the log knows.
func inGap(log EventLog, offset gateway.Offset) bool {
	for _, g := range log.Status().Gaps {
		if g.From <= offset && offset <= g.To {
			return true
		}
	}
	return false
}

// batches is Events with what the log gives at once.
func batches(ctx context.Context, log EventLog, q gateway.Query, fn func([]gateway.Entry) error) error {
	if q.Limit < 0 {
		return fmt.Errorf("a limit of %d events was asked for: give 0 for all, or more", q.Limit)
	}
	state := log.Status()
	from, stop := max(q.From, oldest(&state)), state.Last
	if q.To != 0 {
		stop = min(stop, q.To)
	}
	take := &filter{q: &q, left: q.Limit, fn: fn}
	var damage error
	if q.Last && q.Limit > 0 {
		take.left = 0 // the newest there are now; what follows is not counted
		from, take.skip, damage = newest(ctx, log, &q, from, stop)
	}
	if q.Follow && damage == nil {
		stop = q.To
	}
	if stop == 0 && !q.Follow { // an empty log
		return damage
	}
	return errors.Join(walk(ctx, log, from, stop, take.batch), damage)
}

// oldest is the first offset that a reader gives something for.
func oldest(state *gateway.LogStatus) gateway.Offset {
	first := max(state.First, 1)
	if len(state.Gaps) > 0 {
		first = min(first, state.Gaps[0].From)
	}
	return first
}

// filter passes on what a query wants.
type filter struct {
	q    *gateway.Query
	skip int // matches to pass over
	left int // how many more are wanted; 0: all
	fn   func([]gateway.Entry) error
}

func (f *filter) batch(entries []gateway.Entry) (more bool, err error) {
	wanted := entries[:0]
	for i := range entries {
		if !f.q.Wants(&entries[i]) {
			continue
		}
		if f.skip > 0 {
			f.skip--
			continue
		}
		wanted = append(wanted, entries[i])
		if f.left > 0 && len(wanted) == f.left {
			return false, f.fn(wanted)
		}
	}
	if len(wanted) == 0 {
		return true, nil
	}
	if f.left > 0 {
		f.left -= len(wanted)
	}
	return true, f.fn(wanted)
}

// firstStep is how far newest looks back at first: about a block.
const firstStep = 1024

// newest looks back from stop, in growing steps, for the q.Limit newest entries that q wants. It returns where the
// oldest of those it saw is, and how many of them are too many. With an error, that is of the newer part, which can be read.
func newest(ctx context.Context, log EventLog, q *gateway.Query, from, stop gateway.Offset) (begin gateway.Offset, skip int, err error) {
	begin = stop + 1
	seen, found := begin, 0
	step := gateway.Offset(max(firstStep, min(q.Limit, 1<<20)))
	for ; seen > from && found < q.Limit; step *= 2 {
		start := from
		if seen-from > step {
			start = seen - step
		}
		matches, first := 0, gateway.Offset(0)
		err = walk(ctx, log, start, seen-1, func(entries []gateway.Entry) (more bool, err error) {
			for i := range entries {
				if !q.Wants(&entries[i]) {
					continue
				}
				if matches++; matches == 1 {
					first = max(from, beginOf(log, &entries[i]))
				}
			}
			return true, nil
		})
		if err != nil {
			break
		}
		if found += matches; matches > 0 {
			begin = first
		}
		seen = start
	}
	return begin, max(0, found-q.Limit), err
}

// beginOf is the offset at which a reader meets e: that of an event, but a gap has its entry at its end.
func beginOf(log EventLog, e *gateway.Entry) gateway.Offset {
	if e.Event.Type != gateway.TypeGap {
		return e.Offset
	}
	for _, g := range log.Status().Gaps {
		if g.To == e.Offset {
			return g.From
		}
	}
	return e.Offset
}

const (
	// readMax is how many entries are taken from a reader at once.
	readMax = 512
	// patience is how long a reader may wait for an entry that is there, before we look whether it still is.
	patience = 200 * time.Millisecond
)

// walk calls fn with the entries from offset from up to stop (0: without end), until fn wants no more or ctx ends.
func walk(ctx context.Context, log EventLog, from, stop gateway.Offset, fn func([]gateway.Entry) (more bool, err error)) (err error) {
	if stop != 0 && from > stop {
		return nil
	}
	endless := stop == 0 || stop > log.Status().Last
	r := log.NewReader(max(from, 1) - 1)
	defer func() { err = errors.Join(err, r.Close()) }()
	for {
		entries, err := next(ctx, log, r, stop, endless)
		if err != nil || len(entries) == 0 {
			return err
		}
		last := entries[len(entries)-1].Offset
		for n := len(entries); stop != 0 && n > 0 && entries[n-1].Offset > stop; n-- {
			entries = entries[:n-1]
		}
		if len(entries) > 0 {
			if more, err := fn(entries); err != nil || !more {
				return err
			}
		}
		if stop != 0 && last >= stop {
			return nil
		}
	}
}

// next is r.Next. Where what is wanted was there at the beginning, it does not wait for what was trimmed since, and
// returns nothing where nothing is left.
func next(ctx context.Context, log EventLog, r gateway.Reader, stop gateway.Offset, endless bool) ([]gateway.Entry, error) {
	if endless {
		return r.Next(ctx, readMax)
	}
	for {
		short, cancel := context.WithTimeout(ctx, patience)
		entries, err := r.Next(short, readMax)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return entries, err
		}
		if log.Status().First > stop {
			return nil, nil
		}
	}
}

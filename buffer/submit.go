package buffer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gateway"
)

// Submit takes b to be committed, all of it or nothing, and returns without waiting for that. It encodes the events
// at once: when it returns, their data, and everything else of b, is the caller's to use again.
//
// If it returns an error, nothing was taken and done is never called. Otherwise done is called exactly once, in the
// order of submission, from one goroutine, which it must not hold up: with the offset of the last event of b (0 if it
// has none) once b survives a power cut, or with the error that stopped the log. done may call Submit only with a ctx
// that ends. A batch of nothing but cursors waits for the next commit, one second at most.
//
// If too much waits to be committed, Submit waits until there is room or ctx ends. It returns at once with
// gateway.ErrFull (for events), gateway.ErrClosed, ErrTooLarge, or the error that stopped the log.
func (l *Log) Submit(ctx context.Context, b gateway.Batch, done func(last gateway.Offset, err error)) error {
	return l.submit(ctx, &b, done)
}

// DropCursor forgets the named cursors, of consumers that are no more, so that they hold nothing back. It returns
// when that is durable. A name that is not there is fine.
func (l *Log) DropCursor(ctx context.Context, names ...string) error {
	done := make(chan error, 1)
	err := l.submit(ctx, &gateway.Batch{Forget: names}, func(_ gateway.Offset, err error) { done <- err })
	if err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *Log) submit(ctx context.Context, b *gateway.Batch, done func(gateway.Offset, error)) error {
	need, err := demandOf(b, l.o.MaxEventSize)
	if err != nil {
		return err
	}
	l.mu.Lock()
	if err := l.waitForRoom(ctx, b, need); err != nil {
		l.mu.Unlock()
		return err
	}
	wasUrgent, wasHalf, wasEmpty := l.open.urgent, l.open.half(), l.open.empty()
	l.enter(b, done)
	g := l.open
	look := g.urgent != wasUrgent || wasEmpty || g.half() != wasHalf
	l.mu.Unlock()
	if look {
		l.nudge()
	}
	return nil
}

// submitOwn has what the log itself wants to remember committed at once; done gets the outcome. The writes are few and small.
func (l *Log) submitOwn(holes []gateway.Gap, writes []write) (done <-chan error, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.refusal(&gateway.Batch{}); err != nil {
		return nil, err
	}
	outcome := make(chan error, 1)
	g := l.open
	g.holes = append(g.holes, holes...)
	g.keys = append(g.keys, writes...)
	g.urgent = true
	g.acks = append(g.acks, ack{done: func(_ gateway.Offset, err error) { outcome <- err }})
	l.nudge()
	return outcome, nil
}

// waitForRoom returns when the open group takes the batch. l.mu is held on entry and on return, not in between.
func (l *Log) waitForRoom(ctx context.Context, b *gateway.Batch, need demand) error {
	for {
		if err := l.refusal(b); err != nil {
			return err
		}
		if l.open.fits(need) {
			return nil
		}
		if l.room == nil {
			l.room = make(chan struct{})
		}
		room := l.room
		l.mu.Unlock()
		l.nudge() // a group that waits for its interval is committed now
		select {
		case <-room:
			l.mu.Lock()
		case <-ctx.Done():
			l.mu.Lock()
			return ctx.Err()
		}
	}
}

var (
	errCursorName = errors.New("a cursor needs a name of 1 to 255 bytes")
	errKeyName    = errors.New("a key needs 1 to 1024 bytes")
)

// refusal says why nothing like b is taken now. l.mu is held.
func (l *Log) refusal(b *gateway.Batch) error {
	switch {
	case l.failure != nil:
		return l.failure
	case l.closing || l.o.ReadOnly:
		return gateway.ErrClosed
	case len(b.Events) > 0 && l.usage.full.Load():
		return gateway.ErrFull
	}
	end := l.end + gateway.Offset(len(b.Events))
	for _, c := range b.Cursors {
		if c.Name == "" || len(c.Name) > 255 {
			return errCursorName
		}
		if c.Offset > end {
			return fmt.Errorf("cursor %s cannot be moved to %d, the log ends at %d", c.Name, c.Offset, end)
		}
	}
	for i := range b.KV {
		if k := b.KV[i].Key; k == "" || len(k) > 1024 {
			return errKeyName
		}
	}
	return nil
}

// enter puts the batch into the open group, which has room for it. l.mu is held.
func (l *Log) enter(b *gateway.Batch, done func(gateway.Offset, error)) {
	g := l.open
	var last gateway.Offset
	if len(b.Events) > 0 {
		last = l.enterEvents(g, b.Events, b.Marks)
	}
	for _, c := range b.Cursors {
		l.cursors[c.Name] = c.Offset
		g.moveCursor(cursorChange{name: c.Name, offset: c.Offset})
	}
	for _, name := range b.Forget {
		delete(l.cursors, name)
		g.moveCursor(cursorChange{name: name, forget: true})
	}
	for i := range b.KV {
		g.setKey(&b.KV[i])
	}
	if g.empty() || g.since.IsZero() {
		g.since = time.Now()
	}
	lazy := len(b.Events) == 0 && len(b.KV) == 0 && len(b.Cursors) > 0
	g.urgent = g.urgent || !lazy
	g.acks = append(g.acks, ack{last, done})
}

func (l *Log) enterEvents(g *group, events []gateway.Event, marks []uint32) gateway.Offset {
	now := l.clock.now()
	if g.builder.count == 0 {
		g.first, g.began = l.end+1, now
		g.header = header{epoch: l.epoch, first: g.first, monotonic: uint64(now.mono), bootID: l.clock.kernel.boot}
		if now.known {
			g.header.flags |= flagClockSynced
		} else {
			l.unsure.Store(true)
		}
	}
	// A clock that is set in between changes nothing: one stamp puts the times of all right.
	us := g.began.us + (now.mono - g.began.mono).Microseconds()
	for i := range events {
		mark := uint32(0)
		if i < len(marks) {
			mark = marks[i]
		}
		g.builder.add(&events[i], us, mark)
	}
	l.end += gateway.Offset(len(events))
	return l.end
}

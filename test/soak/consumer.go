package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"gateway"
	"gateway/buffer"
)

// consumer owns a cursor, as a forwarder does.
type consumer struct {
	name    string
	log     *buffer.Log
	check   checker
	settled atomic.Uint64 // what it has read and settled
	events  atomic.Uint64 // of it, events
	// behind makes it wait until half of what was produced is more than what it has; nil: it does not wait.
	behind func() uint64
}

// readAtOnce is how many entries a consumer asks for.
const readAtOnce = 4096

func newConsumer(ctx context.Context, l *buffer.Log, name string, behind func() uint64) (*consumer, error) {
	_, err := l.Commit(ctx, gateway.Batch{Cursors: []gateway.CursorMove{{Name: name}}})
	if err != nil {
		return nil, fmt.Errorf("consumer %s: %w", name, err)
	}
	return &consumer{name: name, log: l, check: checker{next: 1}, behind: behind}, nil
}

// run reads, checks and settles until ctx ends, which is no error.
func (c *consumer) run(ctx context.Context) error {
	err := c.readTo(ctx, 0)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// readTo reads up to and including last; 0: without an end.
func (c *consumer) readTo(ctx context.Context, last gateway.Offset) error {
	r := c.log.NewReader(c.check.next - 1)
	defer func() { _ = r.Close() }() // never fails
	for last == 0 || c.check.next <= last {
		if last == 0 && !c.mayGoOn(ctx) {
			return ctx.Err()
		}
		entries, err := r.Next(ctx, readAtOnce)
		if err != nil {
			return fmt.Errorf("consumer %s: %w", c.name, err)
		}
		if err := c.check.take(entries); err != nil {
			return fmt.Errorf("consumer %s: %w", c.name, err)
		}
		if err := c.settle(ctx); err != nil {
			return fmt.Errorf("consumer %s: %w", c.name, err)
		}
	}
	return nil
}

// mayGoOn waits while a consumer that lags has its share; false when ctx ends.
func (c *consumer) mayGoOn(ctx context.Context) bool {
	for c.behind != nil && c.check.delivered > c.behind() {
		if !pause(ctx.Done(), time.Millisecond) {
			return false
		}
	}
	return ctx.Err() == nil
}

// settle moves the cursor, with the next commit of somebody.
func (c *consumer) settle(ctx context.Context) error {
	at := c.check.next - 1
	err := c.log.Submit(ctx, gateway.Batch{Cursors: []gateway.CursorMove{{Name: c.name, Offset: at}}}, func(gateway.Offset, error) {})
	c.settled.Store(uint64(at))
	c.events.Store(c.check.delivered)
	return err
}

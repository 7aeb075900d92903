package main

import (
	"context"
	"fmt"
	"time"

	"gateway/internal/load"
	"gateway/test/rig"
)

// tap is an upstream broker and a subscriber that counts what arrives there.
type tap struct {
	*load.Counter
	addr  string
	close func()
	ended chan error // one value, when the subscriber has ended
}

// tap starts an upstream. close must be called.
func (b *bench) tap(ctx context.Context) (*tap, error) {
	broker, err := rig.StartMosquitto(ctx, b.dir, b.name("upstream"), "")
	if err != nil {
		return nil, err
	}
	counter, err := load.Subscribe(broker.Addr, "counter", "#", 10*time.Second)
	if err != nil {
		broker.Kill()
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	t := &tap{Counter: counter, addr: broker.Addr, ended: make(chan error, 1)}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		t.ended <- counter.Run(ctx)
	}()
	t.close = func() {
		cancel()
		<-finished
		broker.Kill()
	}
	return t, nil
}

// arrived waits until so many different events have arrived; a minute without one is an error.
func (t *tap) arrived(ctx context.Context, want uint64) error {
	for {
		before := t.Distinct()
		if before >= want {
			return nil
		}
		var ended error
		moved := rig.Poll(ctx, time.Minute, func() bool {
			select {
			case ended = <-t.ended:
				return true
			default:
				return t.Distinct() > before
			}
		})
		if ended != nil {
			return ended
		}
		if !moved {
			return fmt.Errorf("%d of %d events arrived upstream, and no more within a minute", before, want)
		}
	}
}

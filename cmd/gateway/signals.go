package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// echo is how soon after the first signal another one is the same wish: timeout and terminals send one to the process
// and one to its group.
const echo = 500 * time.Millisecond

// stopSignals returns a context that ends with the first SIGINT or SIGTERM, and a channel that is closed at the second.
func stopSignals() (ctx context.Context, second <-chan struct{}, end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	again, quit := make(chan struct{}), make(chan struct{})
	go func() {
		var first time.Time
		for {
			select {
			case <-signals:
			case <-quit:
				return
			}
			switch {
			case first.IsZero():
				first = time.Now()
				cancel()
			case time.Since(first) >= echo:
				close(again)
				return
			}
		}
	}()
	return ctx, again, func() {
		signal.Stop(signals)
		close(quit)
		cancel()
	}
}

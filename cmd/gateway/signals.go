package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// stopSignals returns a context that ends with the first SIGINT or SIGTERM, and a channel that is closed at the second.
func stopSignals() (ctx context.Context, second <-chan struct{}, end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	again, quit := make(chan struct{}), make(chan struct{})
	go func() {
		for _, then := range []func(){cancel, func() { close(again) }} {
			select {
			case <-signals:
				then()
			case <-quit:
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

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gateway/test/hardware/talk"
)

// subscribed waits until the gateway takes commands from the upstream.
func (w *world) subscribed(ctx context.Context) error {
	return eventually(ctx, arrivalPatience, func() error {
		if text := w.gateway.tail(ctx); !strings.Contains(text, "source connected") {
			return fmt.Errorf("the source has no connection: %s", text)
		}
		return nil
	})
}

// playRestarts has the line of an output kept over restarts, as systemd keeps it: whatever ends the gateway, the pump goes on, and its line is not touched.
func playRestarts(ctx context.Context, l *lab) (string, error) {
	w, err := l.prepare(ctx, arm64(), "restarts", func(url string) []string {
		return []string{
			devices("{name: pump, type: gpio_output, pin: RELAY, chip: " + talk.ChipLabel + ", start: keep, stop: keep, max_on: 10m}"),
			section("sources", []string{"{name: uplink, type: mqtt, url: \"" + url + "\", topics: [\"commands/#\"]}"}),
			section("forwarders", []string{
				"{name: pump, match: [commands/pump], ttl: 1m, outcomes: all, sink: {type: gpio_output, output: pump}}", cloud(url)}),
		}
	})
	if err != nil {
		return "", err
	}
	defer w.close(ctx)
	w.gateway.keep = true
	p := &pumpWorld{world: w}
	if p.number, err = w.machine.number(ctx, slices.Index(talk.Lines[:], "RELAY")); err != nil {
		return "", err
	}
	if err := w.gateway.start(ctx); err != nil {
		return "", err
	}
	if err := w.subscribed(ctx); err != nil { // a broker keeps nothing for whom it does not know yet
		return "", err
	}
	if err := p.on(ctx); err != nil {
		return "", err
	}
	for _, end := range []struct {
		what string
		do   func(context.Context) error
	}{{"stop", w.gateway.stop}, {"kill -9", w.gateway.kill}, {"stop once more", w.gateway.stop}} {
		levels, inputs, err := p.during(ctx, func() error {
			if err := end.do(ctx); err != nil {
				return err
			}
			if level, err := p.level(ctx); err != nil || level != "1" {
				return fmt.Errorf("while nothing runs the line is %q, %w, want 1", level, err)
			}
			if err := w.gateway.start(ctx); err != nil {
				return err
			}
			return p.deliverAll(ctx, "after "+end.what)
		})
		if err == nil {
			_, err = want(levels, inputs)
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w; the gateway said: %s", end.what, err, w.gateway.tail(ctx))
		}
		if level, err := p.level(ctx); err != nil || level != "1" {
			return "", fmt.Errorf("after %s the line is %q, %w, want 1", end.what, level, err)
		}
	}
	id, err := p.send("off", noExpiry)
	if err != nil {
		return "", err
	}
	if result, err := p.outcome(ctx, id); err != nil || result != "delivered" {
		return "", fmt.Errorf("off: %q, %w", result, err)
	}
	if level, err := p.level(ctx); err != nil || level != "0" {
		return "", fmt.Errorf("after off the line is %q, %w, want 0", level, err)
	}
	return "two stops and a kill -9, the line on and untouched throughout; then it obeys", nil
}

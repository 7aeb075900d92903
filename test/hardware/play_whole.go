package main

import (
	"context"
	"fmt"
	"time"

	"gateway/test/hardware/talk"
)

// playWhole is the whole path in one run: edges in the guest are events on flash; the line is cut before they leave, then the power; after the reboot each is
// delivered upstream, once.
func playWhole(ctx context.Context, l *lab) (string, error) {
	w, err := doorWorld(ctx, l, arm64(), "whole", "")
	if err != nil {
		return "", err
	}
	defer w.close(ctx)
	w.up.line.SetDown()
	const edges = 50
	if _, err := w.edges(ctx, talk.Train{Line: "GPIO17", Count: edges, Period: 10 * time.Millisecond}); err != nil {
		return "", err
	}
	if err := eventually(ctx, arrivalPatience, func() error {
		events, err := w.inLog(ctx, doorSubject)
		if n := edgesOf(events).received; err == nil && n < edges {
			err = fmt.Errorf("%d of %d edges are on flash", n, edges)
		}
		return err
	}); err != nil {
		return "", err
	}
	upstream := edgesOf(w.doorEvents()).received
	if upstream != 0 {
		return "", fmt.Errorf("%d edges are upstream already, over a line that is cut", upstream)
	}
	began := time.Now()
	if err := w.reboot(ctx); err != nil {
		return "", err
	}
	back := time.Since(began)
	w.up.line.SetUp()
	if err := w.deliverAll(ctx, "end"); err != nil {
		return "", err
	}
	// The process after the reboot numbers its edges anew and has said its level at the start; it has seen no edge.
	t, err := tallyEdges(w.doorEvents())
	numbers := fmt.Sprintf("%d edges on flash, line cut, power cut, back after %.1f s: %d edges upstream, %d events more than once", edges, back.Seconds(),
		t.received, w.up.ledger.repeated())
	if err == nil && (t.received != edges || w.up.ledger.repeated() > 0) {
		err = fmt.Errorf("want %d edges, each once", edges)
	}
	return numbers, err
}

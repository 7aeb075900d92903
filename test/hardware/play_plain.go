package main

import (
	"context"
	"fmt"
	"time"
)

// playPlain is the way of an MQTT publish, with no device at all: where this fails, no other scenario can tell anything about devices.
func playPlain(ctx context.Context, l *lab) (string, error) {
	w, err := l.world(ctx, "plain", func(url string) []string { return []string{section("forwarders", []string{cloud(url)})} })
	if err != nil {
		return "", err
	}
	defer w.close(ctx)
	if err := w.gateway.publish("plain/before", []byte("1")); err != nil {
		return "", err
	}
	if _, err := w.arrived(ctx, 1, "", "plain/before"); err != nil {
		return "", err
	}
	w.up.line.SetDown()
	const events = 20
	for i := range events {
		if err := w.gateway.publish("plain/dark", fmt.Append(nil, i)); err != nil {
			return "", err
		}
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
	got := w.up.ledger.of("", "plain/dark")
	if len(got) != events {
		return "", fmt.Errorf("%d of %d events came", len(got), events)
	}
	for i, a := range got {
		if string(a.Data) != fmt.Sprint(i) {
			return "", fmt.Errorf("event %d has the data %s", i, a.Data)
		}
	}
	return fmt.Sprintf("%d events over a cut line and a power cut, in order, %d of them more than once; back after %.1f s", events, w.up.ledger.repeated(), back.Seconds()), nil
}

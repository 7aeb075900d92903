package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"gateway"
)

func TestReportIsWrittenWhenSomethingChanged(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	r := reporter{logger: slog.New(slog.NewTextHandler(&out, nil))}
	log, broker := gateway.LogStatus{Last: 5, Bytes: 100}, gateway.BrokerStatus{Received: 5, Stored: 5}
	forwarders := []gateway.ForwarderStatus{{Name: "cloud", State: gateway.StateRetrying, Waiting: 5, Lag: time.Second}}
	lines := func() int { return strings.Count(out.String(), "\n") }
	r.report(log, broker, forwarders)
	r.report(log, broker, forwarders)
	log.Bytes, forwarders[0].Lag = 200, time.Minute // what changes by itself
	r.report(log, broker, forwarders)
	if lines() != 1 {
		t.Fatalf("got %d lines, want 1:\n%s", lines(), out.String())
	}
	forwarders[0].State, forwarders[0].Waiting, forwarders[0].Delivered, forwarders[0].Settled = gateway.StateIdle, 0, 5, 5
	r.report(log, broker, forwarders)
	for _, want := range []string{"cloud.state=idle", "cloud.waiting=0", "cloud.delivered=5", "stored=5"} {
		if lines() != 2 || !strings.Contains(out.String(), want) {
			t.Errorf("got %s, want a second line with %s", out.String(), want)
		}
	}
}

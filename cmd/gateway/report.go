package main

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"gateway"
)

// reporter writes a line about what goes through the gateway, if something changed since the last one.
type reporter struct {
	logger *slog.Logger
	last   string
}

func (r *reporter) report(log gateway.LogStatus, broker gateway.BrokerStatus, forwarders []gateway.ForwarderStatus) {
	now := fingerprint(log, broker, forwarders)
	if now == r.last {
		return
	}
	r.last = now
	attrs := []any{
		"clients", broker.Clients, "received", broker.Received, "stored", broker.Stored,
		"bytes", log.Bytes, "full", log.Full,
	}
	if lost := broker.Dropped + broker.Refused; lost > 0 {
		attrs = append(attrs, "dropped", broker.Dropped, "refused", broker.Refused)
	}
	for _, f := range forwarders {
		attrs = append(attrs, slog.Group(f.Name, "state", f.State, "waiting", f.Waiting, "delivered", f.Delivered,
			"dead", f.DeadLettered, "lag", f.Lag.Round(time.Millisecond)))
	}
	r.logger.Info("status", attrs...)
}

// fingerprint has what makes a new line worth writing: no sizes and no ages, which change by themselves.
func fingerprint(log gateway.LogStatus, broker gateway.BrokerStatus, forwarders []gateway.ForwarderStatus) string {
	var b strings.Builder
	fmt.Fprint(&b, broker.Clients, broker.Received, broker.Stored, broker.Dropped, broker.Refused, log.Full, log.Last)
	for _, f := range forwarders {
		fmt.Fprint(&b, " ", f.Name, f.State, f.Settled, f.Delivered, f.DeadLettered)
	}
	return b.String()
}

// statusText is what systemctl status shows.
func statusText(log gateway.LogStatus, broker gateway.BrokerStatus, forwarders []gateway.ForwarderStatus) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d clients, %d events stored", broker.Clients, broker.Stored)
	if log.Full {
		b.WriteString(", the log is full")
	}
	for _, f := range forwarders {
		fmt.Fprintf(&b, "; %s %s, %d waiting", f.Name, f.State, f.Waiting)
	}
	return b.String()
}

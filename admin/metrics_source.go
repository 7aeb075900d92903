package admin

import (
	"github.com/prometheus/client_golang/prometheus"

	"gateway"
)

type sourceState = gateway.SourceStatus

// sourceSamples add up: received = stored + duplicate + looped + ignored + refused + what waits or came again.
func sourceSamples() []sample[*sourceState] {
	const name = "source"
	return []sample[*sourceState]{
		gauge("source_connected", "1 if the source has a connection.", func(s *sourceState) float64 { return truth(s.State == "connected") }, name),
		counter("source_received_messages_total", "Messages received.", func(s *sourceState) float64 { return float64(s.Received) }, name),
		counter("source_stored_messages_total", "Of those received: durable.", func(s *sourceState) float64 { return float64(s.Stored) }, name),
		counter("source_duplicate_messages_total", "Of those received: stored before.", func(s *sourceState) float64 { return float64(s.Duplicates) }, name),
		counter("source_looped_messages_total", "Of those received: were here before.", func(s *sourceState) float64 { return float64(s.Looped) }, name),
		counter("source_ignored_messages_total", "Of those received: retained, or not subscribed to any more.", func(s *sourceState) float64 { return float64(s.Ignored) }, name),
		counter("source_refused_messages_total", "Of those received: too large.", func(s *sourceState) float64 { return float64(s.Refused) }, name),
		counter("source_reconnects_total", "Connections after the first.", func(s *sourceState) float64 { return float64(s.Reconnects) }, name),
	}
}

func (c *collector) collectSources(out chan<- prometheus.Metric, st *Status) {
	for i := range st.Sources {
		s := &st.Sources[i]
		for j := range c.sources {
			c.sources[j].emit(out, s, s.Name)
		}
	}
}

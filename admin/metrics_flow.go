package admin

import (
	"github.com/prometheus/client_golang/prometheus"

	"gateway"
)

// brokerSamples add up: received = stored + unlogged + duplicate + refused + dropped + disconnected + pending.
func brokerSamples() []sample[*Status] {
	return []sample[*Status]{
		gauge("mqtt_clients", "Devices that are connected.", func(s *Status) float64 { return float64(s.Broker.Clients) }),
		counter("mqtt_connections_total", "Connections accepted.", func(s *Status) float64 { return float64(s.Broker.Connections) }),
		counter("mqtt_received_publishes_total", "PUBLISH packets received.", func(s *Status) float64 { return float64(s.Broker.Received) }),
		counter("mqtt_stored_publishes_total", "Of those received: durable.", func(s *Status) float64 { return float64(s.Broker.Stored) }),
		counter("mqtt_unlogged_publishes_total", "Of those received: outside mqtt.capture.", func(s *Status) float64 { return float64(s.Broker.Unlogged) }),
		counter("mqtt_looped_publishes_total", "Of the unlogged: were here before, through another gateway.", func(s *Status) float64 { return float64(s.Broker.Looped) }),
		counter("mqtt_duplicate_publishes_total", "Of those received: sent again, and stored before.", func(s *Status) float64 { return float64(s.Broker.Duplicates) }),
		counter("mqtt_refused_publishes_total", "Of those received: can never be accepted.", func(s *Status) float64 { return float64(s.Broker.Refused) }),
		counter("mqtt_dropped_publishes_total", "Of those received: QoS 0, for which there was no room or no connection.", func(s *Status) float64 { return float64(s.Broker.Dropped) }),
		counter("mqtt_disconnected_publishes_total", "Of those received: QoS 1 and 2, not acknowledged, their client disconnected.", func(s *Status) float64 { return float64(s.Broker.Disconnected) }),
		gauge("mqtt_pending_publishes", "Of those received: wait for their commit.", pending),
		counter("mqtt_acknowledged_publishes_total", "PUBACK and PUBREC written.", func(s *Status) float64 { return float64(s.Broker.Acked) }),
		counter("mqtt_routed_publishes_total", "Publishes handed to local subscribers and the retained store.", func(s *Status) float64 { return float64(s.Broker.Routed) }),
		counter("mqtt_route_dropped_publishes_total", "Publishes that found the queue to local subscribers full.", func(s *Status) float64 { return float64(s.Broker.RouteDropped) }),
		counter("mqtt_overflows_total", "Clients closed because they did not read.", func(s *Status) float64 { return float64(s.Broker.Overflows) }),
		counter("mqtt_panics_total", "Panics recovered.", func(s *Status) float64 { return float64(s.Broker.Panics) }),
		counter("mqtt_auth_failures_total", "Logins refused.", func(s *Status) float64 { return float64(s.Broker.AuthFailures) }),
	}
}

// pending is what is received and has no outcome yet. The counters are read one after the other, so it can be off by what
// came in between, but is never less than nothing.
func pending(s *Status) float64 {
	b := &s.Broker
	return max(0, float64(b.Received)-float64(b.Stored+b.Unlogged+b.Duplicates+b.Refused+b.Dropped+b.Disconnected))
}

type forwarderState = gateway.ForwarderStatus

func forwarderSamples() []sample[*forwarderState] {
	const name = "forwarder"
	return []sample[*forwarderState]{
		gauge("forwarder_settled_offset", "Every event up to it is delivered, dead-lettered or did not match.", func(f *forwarderState) float64 { return float64(f.Settled) }, name),
		gauge("forwarder_waiting_events", "Events of the log that are not settled.", func(f *forwarderState) float64 { return float64(f.Waiting) }, name),
		gauge("forwarder_lag_seconds", "The age of the oldest of them.", func(f *forwarderState) float64 { return f.Lag.Seconds() }, name),
		counter("forwarder_delivered_events_total", "Events settled because they were delivered.", func(f *forwarderState) float64 { return float64(f.Delivered) }, name),
		counter("forwarder_skipped_events_total", "Events settled because they did not match.", func(f *forwarderState) float64 { return float64(f.Skipped) }, name),
		counter("forwarder_dead_lettered_events_total", "Events settled because they can never be delivered.", func(f *forwarderState) float64 { return float64(f.DeadLettered) }, name),
		counter("forwarder_retried_events_total", "Events sent again after a failed attempt.", func(f *forwarderState) float64 { return float64(f.Retried) }, name),
		counter("forwarder_attempts_total", "Batches sent.", func(f *forwarderState) float64 { return float64(f.Attempts) }, name),
		counter("forwarder_failures_total", "Batches that were not delivered in full.", func(f *forwarderState) float64 { return float64(f.Failures) }, name),
		counter("forwarder_duplicate_events_total", "Events delivered that the receiver knew, by its own words.", func(f *forwarderState) float64 { return float64(f.Duplicates) }, name),
		counter("forwarder_expired_events_total", "Dead letters because they were too old.", func(f *forwarderState) float64 { return float64(f.Expired) }, name),
		counter("forwarder_poison_events_total", "Dead letters because they failed while others got through.", func(f *forwarderState) float64 { return float64(f.Poison) }, name),
		counter("forwarder_undecided_conditions_total", "Conditions of routes that said nothing about an event.", func(f *forwarderState) float64 { return float64(f.Undecided) }, name),
		gauge("forwarder_dead_letters", "Dead letters that are kept.", func(f *forwarderState) float64 { return float64(f.Letters) }, name),
		gauge("forwarder_dead_letter_bytes", "About what they take.", func(f *forwarderState) float64 { return float64(f.LetterBytes) }, name),
		counter("forwarder_dropped_dead_letters_total", "Dead letters deleted for lack of room.", func(f *forwarderState) float64 { return float64(f.LettersDropped) }, name),
		gauge("forwarder_requeued_dead_letters", "Dead letters that wait to be delivered once more.", func(f *forwarderState) float64 { return float64(f.Requeued) }, name),
		counter("forwarder_lost_outcomes_total", "Events of type gateway.outcome that a full log did not take.", func(f *forwarderState) float64 { return float64(f.OutcomesLost) }, name),
		gauge("forwarder_month_bytes", "Bytes sent in this calendar month.", func(f *forwarderState) float64 { return float64(f.Month) }, name),
		gauge("forwarder_month_limit_bytes", "Bytes that may be sent in a calendar month, 0 for any number.", func(f *forwarderState) float64 { return float64(f.MonthLimit) }, name),
	}
}

type laneState = gateway.LaneStatus

func laneSamples() []sample[*laneState] {
	labels := []string{"forwarder", "lane"}
	return []sample[*laneState]{
		gauge("forwarder_lane_waiting_events", "Events of the log that the lane has still to look at.", func(l *laneState) float64 { return float64(l.Waiting) }, labels...),
		gauge("forwarder_lane_lag_seconds", "The age of the oldest event that the lane has in hand.", func(l *laneState) float64 { return l.Lag.Seconds() }, labels...),
		counter("forwarder_lane_delivered_events_total", "Events that the lane delivered.", func(l *laneState) float64 { return float64(l.Delivered) }, labels...),
	}
}

func (c *collector) collectForwarders(out chan<- prometheus.Metric, st *Status) {
	states := []string{gateway.StateIdle, gateway.StateDelivering, gateway.StateRetrying, gateway.StateThrottled, gateway.StateHeld, gateway.StateBlocked, gateway.StateStopped}
	for i := range st.Forwarders {
		f := &st.Forwarders[i]
		for j := range c.forwarders {
			c.forwarders[j].emit(out, f, f.Name)
		}
		for j := range f.Lanes {
			for k := range c.lanes {
				c.lanes[k].emit(out, &f.Lanes[j], f.Name, f.Lanes[j].Name)
			}
		}
		for _, state := range states {
			c.state.emit(out, f.State == state, f.Name, state)
		}
	}
}

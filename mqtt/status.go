package mqtt

import (
	"context"
	"log/slog"
	"sync/atomic"

	"gateway"
)

// stats are the broker's counters; see gateway.BrokerStatus.
type stats struct {
	connections, received, stored, unlogged, duplicates, refused, dropped, disconnected atomic.Uint64
	acked, routed, routeDropped, overflows, panics, authFailures, looped                atomic.Uint64
}

// Status is a snapshot of the broker. A will counts as a publish when it is published. RouteDropped includes what was
// routed and then not delivered to one subscriber that had too much unacknowledged.
func (b *Broker) Status() gateway.BrokerStatus {
	s := &b.stats
	status := gateway.BrokerStatus{
		Clients: b.clients.Load(), Connections: s.connections.Load(), Received: s.received.Load(),
		Stored: s.stored.Load(), Unlogged: s.unlogged.Load(), Duplicates: s.duplicates.Load(), Refused: s.refused.Load(),
		Dropped: s.dropped.Load(), Disconnected: s.disconnected.Load(), Acked: s.acked.Load(), Routed: s.routed.Load(),
		Looped:       s.looped.Load(),
		RouteDropped: s.routeDropped.Load() + b.undelivered(), Overflows: s.overflows.Load(), Panics: s.panics.Load(), AuthFailures: s.authFailures.Load(),
	}
	for _, addr := range b.Addrs() {
		status.Addresses = append(status.Addresses, addr.String())
	}
	return status
}

// undelivered counts what mochi dropped on the way to single subscribers.
func (b *Broker) undelivered() uint64 {
	info := b.server.Info
	return uint64(atomic.LoadInt64(&info.MessagesDropped) + atomic.LoadInt64(&info.InflightDropped))
}

// quiet is mochi's way into our log: what it says is for debugging, and packets, which hold payloads, stay out of it.
type quiet struct{ to slog.Handler }

func (q quiet) Enabled(ctx context.Context, _ slog.Level) bool {
	return q.to.Enabled(ctx, slog.LevelDebug)
}

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, slog.LevelDebug, "mochi: "+r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != "pk" && a.Key != "packet" {
			out.AddAttrs(a)
		}
		return true
	})
	return q.to.Handle(ctx, out)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.to.WithAttrs(attrs)} }

func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.to.WithGroup(name)} }

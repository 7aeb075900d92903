package line

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"gateway/internal/load/wire"
)

// maxInFlight leaves packet ids free to go round.
const maxInFlight = 60_000

// sensor publishes with QoS 1 at a steady rate, whether or not what was before is acknowledged.
type sensor struct {
	n      int
	addr   string
	every  time.Duration
	ledger *ledger
	acked  atomic.Uint64
}

// payload is what a sensor publishes under a sequence.
func payload(p place) []byte {
	return fmt.Appendf(nil, `{"id":"%04d-%010d","v":%d}`, p.sensor, p.seq, p.seq*2654435761%1000)
}

// run publishes until stop is closed, and then waits for the acknowledgements that are missing; ctx gives up.
func (s *sensor) run(ctx context.Context, stop <-chan struct{}) error {
	conn, _, err := wire.Dial(s.addr, wire.Options{ClientID: fmt.Sprintf("sensor-%d", s.n)}, 10*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	ended := make(chan error, 1)
	total := make(chan uint64, 1)
	go func() { ended <- s.collect(conn, total) }()
	sent, err := s.publish(ctx, conn, stop)
	total <- sent
	if err == nil {
		_, err = conn.Write(wire.AppendEmpty(nil, wire.Pingreq)) // its answer comes behind all acknowledgements, and wakes collect
	}
	if err != nil {
		conn.Close()
	}
	if err = errors.Join(err, <-ended); err != nil {
		return fmt.Errorf("sensor %d, %d of %d acknowledged: %w", s.n, s.acked.Load(), sent, errors.Join(err, context.Cause(ctx)))
	}
	return nil
}

func (s *sensor) publish(ctx context.Context, conn net.Conn, stop <-chan struct{}) (sent uint64, err error) {
	var out []byte
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return sent, nil
		case <-ctx.Done():
			return sent, ctx.Err()
		case <-tick.C:
		}
		if sent-s.acked.Load() >= maxInFlight {
			return sent, fmt.Errorf("%d publishes wait for an acknowledgement", maxInFlight)
		}
		s.ledger.sent(s.n)
		out = wire.AppendPublish(out[:0], fmt.Sprintf("line/%04d", s.n), uint16(sent%maxInFlight)+1, 1, false, payload(place{s.n, sent}))
		if _, err := conn.Write(out); err != nil {
			return sent, err
		}
		sent++
	}
}

// collect takes acknowledgements, in their order, until there are as many as total says at the end.
func (s *sensor) collect(conn net.Conn, total <-chan uint64) error {
	reader := wire.NewReader(conn, 16<<10)
	want := ^uint64(0)
	for s.acked.Load() < want {
		first, body, err := reader.Next()
		if err != nil {
			return err
		}
		if first == wire.Pingresp {
			want = <-total
			continue
		}
		id, err := wire.ID(body)
		seq := s.acked.Load()
		if err != nil || first != wire.Puback || id != uint16(seq%maxInFlight)+1 {
			return fmt.Errorf("got packet 0x%02x for id %d (%w), want PUBACK for %d", first, id, err, seq%maxInFlight+1)
		}
		s.ledger.acknowledged(s.n, seq)
		s.acked.Add(1)
	}
	return nil
}

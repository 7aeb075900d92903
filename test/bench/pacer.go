package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"gateway/internal/load"
	"gateway/internal/load/wire"
)

// pacer is one device that publishes readings with QoS 1 when they are due, whether or not those before were acknowledged.
// (The load program waits for acknowledgements while it has publishes in flight, which would make bursts of a steady rate
// where a server acknowledges late.)
type pacer struct {
	conn  net.Conn
	note  func(seq uint64) // called before each publish
	acked atomic.Uint64
	ended chan error // one value, of the goroutine that reads acknowledgements
}

// maxInFlight leaves packet ids free to go round.
const maxInFlight = 60_000

// pace publishes count readings to addr and returns when all were acknowledged.
func pace(ctx context.Context, addr string, count uint64, rate float64) (load.Result, error) {
	return paceNoting(ctx, addr, count, rate, func(uint64) {})
}

// paceNoting is pace that calls note just before it publishes a sequence.
func paceNoting(ctx context.Context, addr string, count uint64, rate float64, note func(seq uint64)) (load.Result, error) {
	conn, _, err := wire.Dial(addr, wire.Options{ClientID: "bench-0000"}, 10*time.Second)
	if err != nil {
		return load.Result{}, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(float64(count)/rate*float64(time.Second))+time.Minute)
	defer cancel()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	p := &pacer{conn: conn, note: note, ended: make(chan error, 1)}
	go func() { p.ended <- p.collect(count) }()
	r := load.Result{Clients: 1, Window: maxInFlight, QoS: 1}
	start := time.Now()
	err = p.send(ctx, &r, count, rate, start)
	if err != nil {
		conn.Close() // ends the reader
	}
	err = errors.Join(err, <-p.ended, context.Cause(ctx))
	r.Acknowledged, r.Seconds = p.acked.Load(), time.Since(start).Seconds()
	r.PerSecond = float64(r.Acknowledged) / r.Seconds
	if err != nil {
		return r, fmt.Errorf("%d of %d publishes were acknowledged by %s: %w", r.Acknowledged, count, addr, err)
	}
	return r, nil
}

func (p *pacer) send(ctx context.Context, r *load.Result, count uint64, rate float64, start time.Time) error {
	readings := load.NewReadings(0, 1, 20, 128, 1)
	var data, out []byte
	for r.Sent < count {
		due := start.Add(time.Duration(float64(r.Sent) / rate * float64(time.Second)))
		if err := wait(ctx, time.Until(due)); err != nil {
			return err
		}
		if r.Sent-p.acked.Load() >= maxInFlight {
			return fmt.Errorf("%d publishes wait for an acknowledgement", maxInFlight)
		}
		data = readings.Append(data[:0], r.Sent, time.Now().UnixMilli())
		out = wire.AppendPublish(out[:0], "bench/0000/reading", uint16(r.Sent%maxInFlight)+1, 1, false, data)
		p.note(r.Sent)
		if _, err := p.conn.Write(out); err != nil {
			return err
		}
		r.Sent++
		r.PayloadBytes += uint64(len(data))
	}
	return nil
}

// collect counts acknowledgements until there are count.
func (p *pacer) collect(count uint64) error {
	reader := wire.NewReader(p.conn, 16<<10)
	for p.acked.Load() < count {
		first, _, err := reader.Next()
		if err != nil {
			return err
		}
		if first != wire.Puback {
			return fmt.Errorf("got packet 0x%02x, want PUBACK", first)
		}
		p.acked.Add(1)
	}
	return nil
}

package load

import (
	"context"
	"fmt"
	"net"
	"time"

	"gateway/internal/load/wire"
)

// client is one connection. It belongs to the goroutine of run.
type client struct {
	cfg     *Config
	conn    net.Conn
	reader  *wire.Reader
	topic   string
	payload *generator
	scratch []byte // one payload
	out     []byte // what the next write sends

	free    []uint16        // packet ids not in flight
	sentAt  []time.Duration // since start, by packet id
	start   time.Time
	seq     uint64 // publishes written, which is the sequence of the next
	limit   uint64 // publishes to write, 0 for no limit
	acked   uint64
	latency histogram
	lastAck time.Time

	payloadBytes uint64
}

func dial(cfg *Config, place int) (*client, error) {
	n := cfg.FirstClient + place
	conn, _, err := wire.Dial(cfg.Addr, wire.Options{
		ClientID: fmt.Sprintf("%s-%04d", cfg.Prefix, n), User: cfg.User, Password: cfg.Password,
	}, cfg.Patience)
	if err != nil {
		return nil, err
	}
	c := &client{
		cfg: cfg, conn: conn, reader: wire.NewReader(conn, 16<<10),
		topic:   fmt.Sprintf("%s/%04d/reading", cfg.Prefix, n),
		payload: newGenerator(cfg.Payload, n, cfg.Clients, cfg.Devices, cfg.Size, cfg.Seed),
		sentAt:  make([]time.Duration, cfg.Window+1),
	}
	for id := cfg.Window; id > 0; id-- {
		c.free = append(c.free, uint16(id))
	}
	if cfg.Count > 0 {
		c.limit = cfg.Count / uint64(cfg.Clients)
		if uint64(place) < cfg.Count%uint64(cfg.Clients) {
			c.limit++
		}
	}
	return c, nil
}

// run publishes until the limit, the time or ctx ends it, and then waits for what is in flight.
func (c *client) run(ctx context.Context, start time.Time) error {
	c.start, c.lastAck = start, start
	stop := context.AfterFunc(ctx, func() { c.conn.Close() })
	defer stop()
	for {
		now := time.Now()
		more := c.fill(now)
		if err := c.flush(now); err != nil {
			return c.failed(ctx, "publish", err)
		}
		if c.inFlight() == 0 {
			if !more {
				_, err := c.conn.Write(wire.AppendEmpty(nil, wire.Disconnect))
				return c.failed(ctx, "disconnect", err)
			}
			if err := c.pause(ctx); err != nil {
				return err
			}
			continue
		}
		if err := c.collect(); err != nil {
			return c.failed(ctx, "wait for an acknowledgement", err)
		}
	}
}

func (c *client) inFlight() int { return c.cfg.Window - len(c.free) }

// fill encodes what may be sent at now and tells whether more follows later.
func (c *client) fill(now time.Time) (more bool) {
	elapsed := now.Sub(c.start)
	if c.limit == 0 && elapsed >= c.cfg.Warmup+c.cfg.Duration {
		return false
	}
	milli := now.UnixMilli()
	for len(c.free) > 0 {
		if c.limit > 0 && c.seq >= c.limit {
			return false
		}
		if c.cfg.Rate > 0 && c.due() > elapsed {
			return true
		}
		id := c.free[len(c.free)-1]
		c.free = c.free[:len(c.free)-1]
		c.sentAt[id] = elapsed
		c.scratch = c.payload.append(c.scratch[:0], c.seq, milli)
		c.out = wire.AppendPublish(c.out, c.topic, id, c.cfg.QoS, false, c.scratch)
		c.payloadBytes += uint64(len(c.scratch))
		c.seq++
	}
	return true
}

// due is when the next publish is to be sent, since start, at the configured rate.
func (c *client) due() time.Duration {
	return time.Duration(float64(c.seq) * float64(c.cfg.Clients) / c.cfg.Rate * float64(time.Second))
}

// pause waits until the next publish is due, or the run is over.
func (c *client) pause(ctx context.Context) error {
	at := c.due()
	if c.limit == 0 {
		at = min(at, c.cfg.Warmup+c.cfg.Duration)
	}
	timer := time.NewTimer(time.Until(c.start.Add(at)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *client) flush(now time.Time) error {
	if len(c.out) == 0 {
		return nil
	}
	// Also bounds the reads that follow: once a round is enough, and cheaper than once a call.
	if err := c.conn.SetDeadline(now.Add(c.cfg.Patience)); err != nil {
		return err
	}
	_, err := c.conn.Write(c.out)
	c.out = c.out[:0]
	return err
}

// collect waits for one acknowledgement and takes all that came with it.
func (c *client) collect() error {
	first, body, err := c.reader.Next()
	now := time.Now()
	for ok := true; ok && err == nil; first, body, ok, err = c.reader.Buffered() {
		if err := c.take(first, body, now); err != nil {
			return err
		}
	}
	return err
}

func (c *client) take(first byte, body []byte, now time.Time) error {
	switch first & 0xf0 {
	case wire.Pubrec:
		id, err := wire.ID(body)
		c.out = wire.AppendAck(c.out, wire.Pubrel, id)
		return err
	case wire.Puback, wire.Pubcomp:
		return c.done(body, now)
	}
	return fmt.Errorf("the broker sent a packet 0x%02x, want acknowledgements only", first)
}

func (c *client) done(body []byte, now time.Time) error {
	id, err := wire.ID(body)
	if err != nil {
		return err
	}
	if id == 0 || int(id) > c.cfg.Window || c.inFlight() == 0 {
		return fmt.Errorf("the broker acknowledged packet id %d, which is not in flight", id)
	}
	c.free = append(c.free, id)
	c.acked++
	c.lastAck = now
	elapsed := now.Sub(c.start)
	if c.cfg.Count > 0 || elapsed >= c.cfg.Warmup && elapsed < c.cfg.Warmup+c.cfg.Duration {
		c.latency.add(elapsed - c.sentAt[id])
	}
	return nil
}

func (c *client) failed(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%s: %s after %d publishes: %w", c.topic, doing, c.seq, err)
	}
	return nil
}

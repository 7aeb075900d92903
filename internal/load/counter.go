package load

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"gateway/internal/load/wire"
)

// Counter subscribes to a broker with QoS 1 and counts which payloads of this package arrive.
type Counter struct {
	conn   net.Conn
	reader *wire.Reader
	seen   map[int]*bitmap // by client; of Run's goroutine

	received, distinct, bytes atomic.Uint64
	first, last               atomic.Int64 // unix nanoseconds of the first and newest new arrival
}

// Subscribe connects to the broker at addr and subscribes to filter. Run must follow.
func Subscribe(addr, clientID, filter string, patience time.Duration) (*Counter, error) {
	return subscribe(addr, wire.Options{ClientID: clientID}, filter, patience)
}

// SubscribeKept is Subscribe with a session that the broker keeps, so that it stores events for it.
func SubscribeKept(addr, clientID, filter string, patience time.Duration) (*Counter, error) {
	return subscribe(addr, wire.Options{ClientID: clientID, KeepSession: true}, filter, patience)
}

func subscribe(addr string, o wire.Options, filter string, patience time.Duration) (*Counter, error) {
	conn, _, err := wire.Dial(addr, o, patience)
	if err != nil {
		return nil, err
	}
	c := &Counter{conn: conn, reader: wire.NewReader(conn, 256<<10), seen: map[int]*bitmap{}}
	if err := c.subscribe(filter, patience); err != nil {
		conn.Close()
		return nil, fmt.Errorf("subscribe to %s at %s: %w", filter, addr, err)
	}
	return c, nil
}

func (c *Counter) subscribe(filter string, patience time.Duration) error {
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := c.conn.Write(wire.AppendSubscribe(nil, 1, filter, 1)); err != nil {
		return err
	}
	first, body, err := c.reader.Next()
	if err != nil {
		return err
	}
	if first != wire.Suback || len(body) != 3 || body[2] > 2 {
		return fmt.Errorf("%w: packet 0x%02x % x", wire.ErrRefused, first, body)
	}
	return c.conn.SetDeadline(time.Time{})
}

// gather is how long Run leaves arrivals to gather before it takes them: taken one by one they cost the broker and the
// machine more than they cost whoever is measured.
const gather = time.Millisecond

// Run reads, counts and acknowledges until ctx ends, which is not an error, or the connection does. What it says of times is
// late by a millisecond at most.
func (c *Counter) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { c.conn.Close() })
	defer stop()
	tick := time.NewTicker(gather)
	defer tick.Stop()
	var out []byte
	for {
		first, body, err := c.reader.Next()
		now := time.Now().UnixNano()
		for ok := true; ok && err == nil; first, body, ok, err = c.reader.Buffered() {
			if out, err = c.take(out, first, body, now); err != nil {
				break
			}
		}
		if err == nil && len(out) > 0 {
			_, err = c.conn.Write(out)
			out = out[:0]
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("count arrivals: %w", err)
		}
	}
}

func (c *Counter) take(out []byte, first byte, body []byte, now int64) ([]byte, error) {
	if first&0xf0 != wire.Publish {
		return out, nil
	}
	m, err := wire.ParsePublish(first, body)
	if err != nil {
		return out, err
	}
	if m.QoS > 0 {
		out = wire.AppendAck(out, wire.Puback, m.ID)
	}
	client, seq, err := Identity(m.Payload)
	if err != nil {
		return out, err
	}
	c.received.Add(1)
	b := c.seen[client]
	if b == nil {
		b = &bitmap{}
		c.seen[client] = b
	}
	if !b.set(seq) {
		return out, nil
	}
	c.bytes.Add(uint64(len(m.Payload)))
	c.first.CompareAndSwap(0, now)
	c.last.Store(now)
	c.distinct.Add(1)
	return out, nil
}

// Close ends the connection, and Run with it.
func (c *Counter) Close() error { return c.conn.Close() }

// Received is the number of arrivals, Distinct the number of different payloads among them. Safe for concurrent use.
func (c *Counter) Received() uint64 { return c.received.Load() }

// Distinct is the number of different payloads that arrived. Safe for concurrent use.
func (c *Counter) Distinct() uint64 { return c.distinct.Load() }

// First and Last are when the first and the newest payload not seen before arrived; zero time before that.
func (c *Counter) First() time.Time { return unixNano(c.first.Load()) }

// Last is when the newest payload not seen before arrived. Safe for concurrent use.
func (c *Counter) Last() time.Time { return unixNano(c.last.Load()) }

func unixNano(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns)
}

// bitmap is a growing set of small numbers.
type bitmap struct{ words []uint64 }

// set adds v and tells whether it is new.
func (b *bitmap) set(v uint64) bool {
	word := v / 64
	for uint64(len(b.words)) <= word {
		b.words = append(b.words, 0)
	}
	bit := uint64(1) << (v % 64)
	isNew := b.words[word]&bit == 0
	b.words[word] |= bit
	return isNew
}

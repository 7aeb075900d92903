package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"gateway/internal/load/wire"
	"gateway/test/powercut/found"
)

// window is how many publishes a client has in flight.
const window = 16

// publisher is one client of one boot. What is in flight when the power goes is not sent again: it may be there or not.
type publisher struct {
	n        int
	ledger   *ledger
	conn     net.Conn
	log      string        // the write log, whose length is looked at
	every    time.Duration // between two publishes
	inFlight chan uint64   // sequences, in their order; capacity window; filled by write, emptied by read
	dark     *atomic.Bool  // set before the power is cut: connections end then
}

// run publishes until ctx ends or the power is cut. A connection that ends before is an error, and so is an answer that
// does not fit.
func (p *publisher) run(outer context.Context) error {
	ctx, cancel := context.WithCancel(outer)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { p.conn.Close() })
	defer stop()
	var group errgroup.Group
	group.Go(func() error {
		defer cancel()
		p.write(ctx)
		return nil
	})
	group.Go(func() error {
		defer cancel()
		return p.read(outer)
	})
	return group.Wait()
}

// write sends what is due, as far as the window allows. A write that fails is left to read to tell.
func (p *publisher) write(ctx context.Context) {
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	for {
		seq := p.ledger.send(p.n)
		select {
		case p.inFlight <- seq:
		case <-ctx.Done():
			return
		}
		packet := wire.AppendPublish(nil, fmt.Sprintf("%s%d", found.TopicPrefix, p.n), packetID(seq), 1, false, found.Payload(p.n, seq))
		if _, err := p.conn.Write(packet); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// packetID is never 0, and free again long after the window.
func packetID(seq uint64) uint16 { return uint16(seq%60_000) + 1 }

var errWrongAck = errors.New("wrong acknowledgement")

// read records the acknowledgements: they come in the order of the publishes (MQTT 3.1.1, section 4.6).
func (p *publisher) read(outer context.Context) error {
	r := wire.NewReader(p.conn, 4<<10)
	for {
		first, body, err := r.Next()
		if err != nil {
			if p.dark.Load() || outer.Err() != nil {
				return nil
			}
			return fmt.Errorf("client %d lost its connection: %w", p.n, err)
		}
		info, err := os.Stat(p.log) // after the ack was read: all that it rests on is in the log by now
		if err != nil {
			return err
		}
		id, err := wire.ID(body)
		if err != nil {
			return err
		}
		if first != wire.Puback {
			return fmt.Errorf("client %d: %w: packet 0x%02x", p.n, errWrongAck, first)
		}
		select {
		case seq := <-p.inFlight:
			if packetID(seq) != id {
				return fmt.Errorf("client %d: %w: for packet %d, want %d", p.n, errWrongAck, id, packetID(seq))
			}
			p.ledger.acknowledged(p.n, seq, info.Size())
		default:
			return fmt.Errorf("client %d: %w: for packet %d, and nothing is in flight", p.n, errWrongAck, id)
		}
	}
}

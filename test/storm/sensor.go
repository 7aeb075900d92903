package storm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"gateway/internal/load/wire"
	"gateway/test/history"
)

// flight is a publish that is not finished.
type flight struct {
	seq      uint64
	id       uint16
	qos      byte
	released bool // QoS 2: PUBREC came, PUBCOMP has not
	done     bool
}

// sensor is a client that keeps what is not acknowledged and sends it again, in order, when it has connected again.
// It belongs to the goroutine of run.
type sensor struct {
	n      int
	addr   string
	window int
	every  time.Duration // between two publishes
	hist   *history.History
	first  *firstAck

	seq        uint64
	id         uint16
	flights    []flight // in the order of their sequences
	due        time.Time
	generation int64
	out        []byte
	conn       net.Conn
	reader     *wire.Reader
}

// run publishes until stop is closed, and then until all is acknowledged; ctx gives up.
func (s *sensor) run(ctx context.Context, stop <-chan struct{}) error {
	for {
		if err := s.connect(ctx); err != nil {
			return err
		}
		done, err := s.session(ctx, stop)
		s.conn.Close()
		switch {
		case done:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("sensor %d gave up with %d publishes in flight: %w", s.n, len(s.flights), ctx.Err())
		case err == nil || errors.Is(err, errProtocol):
			return fmt.Errorf("sensor %d: %w", s.n, err)
		}
	}
}

// connect tries until it succeeds or ctx ends.
func (s *sensor) connect(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, _, err := wire.Dial(s.addr, wire.Options{ClientID: fmt.Sprintf("sensor-%d", s.n), KeepSession: true}, 2*time.Second)
		if err == nil {
			s.conn, s.reader = conn, wire.NewReader(conn, 8<<10)
			s.generation = s.first.current() // a process that is dead by now acknowledges nothing that follows
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("sensor %d could not connect: %w", s.n, err)
		case <-tick.C:
		}
	}
}

// errProtocol says that the broker sent what it must not.
var errProtocol = errors.New("broken protocol")

// session is one connection: it ends with done, or with the error that ended the connection.
func (s *sensor) session(ctx context.Context, stop <-chan struct{}) (done bool, err error) {
	abort := context.AfterFunc(ctx, func() { s.conn.Close() })
	defer abort()
	s.resend()
	for {
		stopped := isClosed(stop)
		if stopped && len(s.flights) == 0 {
			return true, nil
		}
		if !stopped {
			s.fill(time.Now())
		}
		if err := s.flush(); err != nil {
			return false, err
		}
		if err := s.collect(stopped); err != nil {
			return false, err
		}
	}
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// resend begins a connection with what the last one left open (MQTT 3.1.1, section 4.4).
func (s *sensor) resend() {
	s.out = s.out[:0]
	for _, f := range s.flights {
		if f.released {
			s.out = wire.AppendAck(s.out, wire.Pubrel, f.id)
			continue
		}
		s.hist.Resent(s.n, f.seq)
		s.out = s.publish(s.out, f, true)
	}
}

func (s *sensor) publish(dst []byte, f flight, dup bool) []byte {
	return wire.AppendPublish(dst, fmt.Sprintf("storm/%04d", s.n), f.id, f.qos, dup, payload(s.n, f.seq))
}

// fill adds the publishes that are due and that the window has room for. QoS 1 and 2 take turns, unevenly.
func (s *sensor) fill(now time.Time) {
	if s.due.Before(now.Add(-time.Second)) {
		s.due = now.Add(-time.Second) // an outage is caught up with in part only
	}
	for len(s.flights) < s.window && !s.due.After(now) {
		f := flight{seq: s.seq, id: s.nextID(), qos: 1 + byte(mix(s.seq)%2)}
		s.hist.Sent(s.n, s.seq)
		s.seq++
		s.due = s.due.Add(s.every)
		s.flights = append(s.flights, f)
		s.out = s.publish(s.out, f, false)
	}
}

func (s *sensor) nextID() uint16 {
	for {
		if s.id++; s.id != 0 && s.find(s.id) == nil {
			return s.id
		}
	}
}

func (s *sensor) find(id uint16) *flight {
	for i := range s.flights {
		if s.flights[i].id == id && !s.flights[i].done {
			return &s.flights[i]
		}
	}
	return nil
}

func (s *sensor) flush() error {
	if len(s.out) == 0 {
		return nil
	}
	if err := s.conn.SetWriteDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	_, err := s.conn.Write(s.out)
	s.out = s.out[:0]
	return err
}

// collect takes acknowledgements until the next publish is due. Twenty seconds without one end the connection.
func (s *sensor) collect(stopped bool) error {
	limit := time.Now().Add(20 * time.Second)
	pacing := !stopped && len(s.flights) < s.window
	if pacing {
		limit = s.due
	}
	if err := s.conn.SetReadDeadline(limit); err != nil {
		return err
	}
	first, body, err := s.reader.Next()
	for ok := true; ok && err == nil; first, body, ok, err = s.reader.Buffered() {
		if err := s.take(first, body); err != nil {
			return err
		}
	}
	s.sweep()
	if pacing && errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

func (s *sensor) take(first byte, body []byte) error {
	id, err := wire.ID(body)
	if err != nil {
		return fmt.Errorf("%w: packet 0x%02x: %w", errProtocol, first, err)
	}
	f := s.find(id)
	if f == nil {
		return fmt.Errorf("%w: packet 0x%02x for id %d, which is not in flight", errProtocol, first, id)
	}
	switch {
	case first == wire.Puback && f.qos == 1:
		f.done = true
	case first == wire.Pubrec && f.qos == 2:
		f.released = true
		s.out = wire.AppendAck(s.out, wire.Pubrel, id)
	case first == wire.Pubcomp && f.qos == 2 && f.released:
		f.done = true
		return nil
	default:
		return fmt.Errorf("%w: packet 0x%02x for id %d, which is QoS %d", errProtocol, first, id, f.qos)
	}
	s.hist.Acknowledged(s.n, f.seq)
	s.first.acknowledged(s.generation)
	return nil
}

// sweep forgets what is finished.
func (s *sensor) sweep() {
	kept := s.flights[:0]
	for _, f := range s.flights {
		if !f.done {
			kept = append(kept, f)
		}
	}
	s.flights = kept
}

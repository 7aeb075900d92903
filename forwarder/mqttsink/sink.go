// Package mqttsink delivers events to an MQTT 3.1.1 broker with QoS 1, in order, with a window of unacknowledged publishes.
//
// paho.mqtt.golang does the handshake, the keep-alive and the goodbye. Publishing is ours, at the connection: packets
// are encoded into one buffer and written with one call, and acknowledgements are taken out of what the library
// reads. The library's own publishing costs 25 to 30 µs of CPU an event, and its tokens complete without an error when
// a connection is lost. Here an acknowledgement belongs to the connection that it came on, and to nothing else.
//
// Sessions are clean: what was not acknowledged is sent again, on the next connection, by the forwarder. A 3.1.1 broker
// acknowledges a publish that its access rules deny, and drops it; only its own log tells.
package mqttsink

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"gateway"
)

// Sink publishes to one broker. Send and Close may be called at any time.
type Sink struct {
	o          Options
	endpoint   endpoint
	encoder    encoder
	ways       chan *way  // those that no Send has
	connecting sync.Mutex // held while a connection is looked for
	mu         sync.Mutex // guards what follows
	session    *session   // nil before the first Send and after a failed one
	closed     bool
}

// way is what one Send at a time has of the connection: a part of the window.
type way struct {
	number int
	buf    []byte  // packets to be written
	sent   []int32 // see delivery.sent
}

var _ gateway.Sink = (*Sink)(nil)

// New checks o and makes a sink. It connects in Send. The error has all that is wrong, a line each.
func New(o Options) (*Sink, error) {
	topic, err := parseTemplate(&o)
	if err := errors.Join(o.check(), err); err != nil {
		return nil, fmt.Errorf("mqtt sink: %w", err)
	}
	e, err := parseURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("mqtt sink: %w", err)
	}
	s := &Sink{
		o: o, endpoint: e, ways: make(chan *way, o.Ways),
		encoder: encoder{topic: topic, json: o.Format == FormatCloudEvents, retain: o.Retain, maxPacket: o.MaxPacket},
	}
	for n := range o.Ways {
		s.ways <- &way{number: n}
	}
	return s, nil
}

// SizeOf is how many bytes the event takes on the line, 0 if it can never go there. Safe for concurrent use.
func (s *Sink) SizeOf(e *gateway.Entry) int {
	buf, _ := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	packet, err := s.encoder.append((*buf)[:0], &e.Event, 1)
	if err != nil {
		return 0
	}
	if *buf = packet; cap(packet) > keepBuffer {
		*buf = nil
	}
	return len(packet)
}

// scratch is for SizeOf.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// Name is the kind of the sink and its URL.
func (s *Sink) Name() string { return "mqtt " + s.o.URL }

// Send publishes the batch in its order and returns when the broker has acknowledged all of it, or when that cannot
// be on this connection. Events of a *gateway.BatchError that have no error are acknowledged; at most Window of those
// that have one, and are not Permanent, were published.
func (s *Sink) Send(ctx context.Context, batch []gateway.Entry) error {
	var w *way
	select {
	case w = <-s.ways:
		defer func() { s.ways <- w }()
	case <-ctx.Done():
		return endedError(ctx)
	}
	n, err := s.ready(ctx)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { n.fail(endedError(ctx)) })
	defer stop()
	d := delivery{sink: s, way: w, link: n.link, window: n.windows[w.number], batch: batch}
	cause := d.run()
	return d.result(cause)
}

// ready returns the connection, and makes one if there is none that works.
func (s *Sink) ready(ctx context.Context) (*session, error) {
	s.connecting.Lock()
	defer s.connecting.Unlock()
	s.mu.Lock()
	n, closed := s.session, s.closed
	s.mu.Unlock()
	if closed {
		return nil, fmt.Errorf("send to %s: %w", s.endpoint.address, gateway.ErrClosed)
	}
	if n != nil && n.alive() {
		return n, nil
	}
	if n != nil {
		s.o.Logger.Debug("connection lost", "broker", s.endpoint.address, "cause", n.cause)
		n.discard()
		s.keep(nil)
	}
	n, err := s.connect(ctx)
	if err != nil {
		return nil, gateway.Unsent(err)
	}
	if !s.keep(n) {
		n.close()
		return nil, fmt.Errorf("send to %s: %w", s.endpoint.address, gateway.ErrClosed)
	}
	s.o.Logger.Debug("connected", "broker", s.endpoint.address)
	return n, nil
}

// keep remembers the connection. It returns false if the sink was closed meanwhile.
func (s *Sink) keep(n *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.session = n
	return !s.closed
}

// Close says goodbye to the broker. A Send under way ends with an error. Calling it twice is fine.
func (s *Sink) Close() error {
	s.mu.Lock()
	n := s.session
	s.closed, s.session = true, nil
	s.mu.Unlock()
	if n != nil {
		n.close()
	}
	return nil
}

// close sends DISCONNECT, if the connection still works, and ends it.
func (n *session) close() {
	if n.alive() {
		n.client.Disconnect(uint(goodbye.Milliseconds()))
		n.fail(gateway.ErrClosed)
		return
	}
	n.discard()
}

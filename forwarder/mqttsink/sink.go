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

// Sink publishes to one broker. Send is for one goroutine; Close may be called at any time.
type Sink struct {
	o        Options
	endpoint endpoint
	encoder  encoder
	buf      []byte     // packets to be written
	sent     []int32    // see delivery.sent; kept for the next Send
	mu       sync.Mutex // guards what follows
	session  *session   // nil before the first Send and after a failed one
	closed   bool
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
	return &Sink{
		o: o, endpoint: e,
		encoder: encoder{topic: topic, json: o.Format == FormatCloudEvents, retain: o.Retain, maxPacket: o.MaxPacket},
	}, nil
}

// Name is the kind of the sink and its URL.
func (s *Sink) Name() string { return "mqtt " + s.o.URL }

// Send publishes the batch in its order and returns when the broker has acknowledged all of it, or when that cannot
// be on this connection. Events of a *gateway.BatchError that have no error are acknowledged; at most Window of those
// that have one, and are not Permanent, were published.
func (s *Sink) Send(ctx context.Context, batch []gateway.Entry) error {
	n, err := s.ready(ctx)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { n.fail(endedError(ctx)) })
	defer stop()
	d := delivery{sink: s, link: n.link, batch: batch}
	cause := d.run()
	return d.result(cause)
}

// ready returns the connection, and makes one if there is none that works.
func (s *Sink) ready(ctx context.Context) (*session, error) {
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
		return nil, err
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

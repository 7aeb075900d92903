// Package mqttsource takes events in from another MQTT 3.1.1 broker: one on the same machine, or the upstream, for
// commands. It subscribes with QoS 1 in a session that the broker keeps, and acknowledges a message only when it is in
// the log. So what the broker has acknowledged to its publisher arrives in the log, as long as that broker keeps it:
// how much it keeps for a session whose client is away or slow is its own setting.
//
// A message may come again: after a lost connection, a crash, or because its publisher sent it again. A CloudEvent is
// known by its ID and stored once. A raw payload has no ID, and is stored again: in doubt, it is kept.
package mqttsource

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"gateway"
	"gateway/mqtt"
)

// drainTime is how long a stop waits for the log to take what it was handed.
const drainTime = 5 * time.Second

// Source subscribes at one broker.
type Source struct {
	o        Options
	endpoint endpoint
	uri      string // the source of raw payloads
	events   *mqtt.Messages
	filters  []string // of Topics, without $share
	running  atomic.Bool

	// What follows is Run's.
	stop        <-chan struct{}
	seen        *seen
	left        []message // of connections that have ended, not stored; see settle
	subscribed  bool      // every topic was granted, in the session that the broker keeps
	denied      string    // topics that were not
	warned      string    // the state last logged; "" for connected
	connections int

	mu        sync.Mutex // guards what follows
	status    Status
	refusedAt time.Time
}

var _ gateway.Source = (*Source)(nil)

// New checks o and makes a source. It connects in Run. The error has all that is wrong, a line each.
func New(o Options) (*Source, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("mqtt source: %w", err)
	}
	e, err := parseURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("mqtt source: %w", err)
	}
	uri := "//" + url.PathEscape(o.Gateway) + "/source/" + url.PathEscape(o.Name)
	s := &Source{
		o: o, endpoint: e, uri: uri, events: mqtt.NewMessages(uri), seen: newSeen(o.Remember),
		status: Status{Name: o.Name, URL: o.URL, State: StateConnecting, Since: time.Now()},
	}
	for _, filter := range o.Topics {
		s.filters = append(s.filters, withoutShare(filter))
	}
	return s, nil
}

// Name is Options.Name.
func (s *Source) Name() string { return s.o.Name }

// Run takes messages in until ctx ends, and then returns nil. It connects again and again, for ever; only when the log
// has failed for good does it return an error. Once only.
func (s *Source) Run(ctx context.Context, out gateway.Appender) error {
	if !s.running.CompareAndSwap(false, true) {
		return fmt.Errorf("mqtt source %s: Run was called before", s.o.Name)
	}
	grace, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	drain := time.AfterFunc(1<<62, cancel)
	defer drain.Stop()
	defer context.AfterFunc(ctx, func() { drain.Reset(drainTime) })()
	s.stop = ctx.Done()
	s.recall()
	wait := backoff{min: s.o.RetryMin, max: s.o.RetryMax}
	for {
		began := time.Now()
		err := s.session(ctx, grace, out)
		var broken *logError
		switch {
		case ctx.Err() != nil: // a stop is not a failure
			s.change(func(st *Status) { st.State, st.Since = StateConnecting, time.Now() })
			return nil
		case errors.As(err, &broken):
			return fmt.Errorf("mqtt source %s: %w", s.o.Name, err)
		}
		s.failed(err)
		if !pause(ctx, wait.after(err, time.Since(began))) {
			return nil
		}
	}
}

// logError is an error of the log that no other connection cures.
type logError struct{ error }

func (e *logError) Unwrap() error { return e.error }

// session makes one connection and takes in what comes on it, until that or ctx ends.
func (s *Source) session(ctx, grace context.Context, out gateway.Appender) error {
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	s.takeLeft(c)
	k := &keeper{Source: s, out: out, ctx: grace, lost: c.line.lost}
	subscribed := make(chan error, 1)
	go func() {
		err := s.subscribe(ctx, c)
		switch {
		case err == nil:
			s.connected(c.present)
		case ctx.Err() == nil:
			c.line.fail(err)
		}
		subscribed <- err
	}()
	err = k.serve(ctx, c)
	if ctx.Err() != nil && c.line.alive() && !errors.As(err, new(*logError)) {
		err = k.next(c) // what has come, before the goodbye
	}
	c.close()
	if refused := <-subscribed; refused != nil && !errors.As(err, new(*logError)) {
		err = refused
	}
	for batch := c.queue.take(); len(batch) > 0; batch = c.queue.take() {
		s.leave(batch)
	}
	return err
}

// serve stores what comes until the connection or ctx ends, and says why it did.
func (k *keeper) serve(ctx context.Context, c *connection) error {
	for {
		select {
		case <-c.queue.came:
			// What came on a connection that has ended is left: the broker sends it again.
			for c.line.alive() && c.queue.waits() && ctx.Err() == nil {
				if err := k.next(c); err != nil {
					return err
				}
			}
		case <-c.line.lost:
			return fmt.Errorf("connection to %s: %w", k.endpoint.address, c.line.cause)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// next stores the next batch. With an error its messages are left.
func (k *keeper) next(c *connection) error {
	batch := c.queue.take()
	err := k.keep(batch)
	if err == nil {
		return nil
	}
	k.leave(batch)
	if errors.Is(err, errLost) {
		return err
	}
	return &logError{err}
}

// leave keeps messages of a connection that ends, for the case that the broker does not send them again.
func (s *Source) leave(batch []message) {
	for _, m := range batch {
		m.ack = nil
		s.left = append(s.left, m)
	}
}

// takeLeft decides about what was left by earlier connections. A broker that has kept our session sends again what was
// not acknowledged. One that has lost it does not, and nobody else has it but we; neither is QoS 0 sent again.
func (s *Source) takeLeft(c *connection) {
	var keep []message
	for _, m := range s.left {
		if m.ours = m.ours || m.qos == 0 || !c.present; m.ours {
			keep = append(keep, m)
		}
	}
	s.left = nil
	c.queue.precede(keep)
}

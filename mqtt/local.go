package mqtt

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"gateway"
)

// Formats of what a local sink publishes.
const (
	FormatRaw         = "raw"         // the event's data
	FormatCloudEvents = "cloudevents" // the event as CloudEvents JSON, with that content type for MQTT 5
)

// What a local sink retains.
const (
	RetainNever  = "never"
	RetainKeep   = "keep"   // events that were published retained
	RetainAlways = "always" // the newest event of each topic
)

// LocalOptions configure a sink that publishes to the devices of this broker. All are used as they are.
type LocalOptions struct {
	// Topic is the template of the topic: text with {topic} (the topic that the event came on, or else its subject),
	// {subject} and {prefix}.
	Topic string
	// Prefix is what {prefix} stands for.
	Prefix string
	// Format is FormatRaw or FormatCloudEvents.
	Format string
	// Retain is RetainNever, RetainKeep or RetainAlways.
	Retain string
	// RequireSubscriber lets an event wait, with an error that is to be retried, until there is a session with a
	// subscription that matches its topic, connected or not. Otherwise what nobody subscribed to is delivered to nobody.
	RequireSubscriber bool
	// RequireAck lets an event wait, with an error that is to be retried, until a device that has subscribed to its topic with QoS 1 or 2
	// is connected, and Send until every such device has acknowledged it. One that does not within ten seconds gets it again.
	RequireAck bool
}

// DefaultLocal is LocalOptions that publish the data on the topic that it came on.
func DefaultLocal() LocalOptions {
	return LocalOptions{Topic: "{topic}", Format: FormatRaw, Retain: RetainNever}
}

// A batch of a local sink takes no more than this, so that devices' publishes come between two of them.
const localBatch = 256

// localSink publishes events to local subscribers, through the router, and not to the log.
type localSink struct {
	b      *Broker
	o      LocalOptions
	topic  localTopic
	s      *session // stands for the publisher: its id is empty, which no client's is
	each   int      // publishes of a batch
	closed atomic.Bool
}

var _ gateway.Sink = (*localSink)(nil)

// LocalSink makes a sink that publishes to the devices that subscribe at this broker, with QoS 1 and by their access
// rules. What it publishes is not captured: it does not go into the log. The sink works while the broker runs.
//
// Its Send returns nil when the events were handed to the sessions that match, which deliver in memory: to a device that
// is away or slow as far as there is room for it (see Status.RouteDropped), and not beyond a restart of the gateway. An event with an
// expirytime is not delivered after that.
func (b *Broker) LocalSink(o LocalOptions) (gateway.Sink, error) {
	topic, err := parseLocalTopic(&o)
	errs := []error{err}
	if o.Format != FormatRaw && o.Format != FormatCloudEvents {
		errs = append(errs, fmt.Errorf("format: %q is not known; use %q or %q", o.Format, FormatRaw, FormatCloudEvents))
	}
	if o.Retain != RetainNever && o.Retain != RetainKeep && o.Retain != RetainAlways {
		errs = append(errs, fmt.Errorf("retain: %q is not known; use %q, %q or %q", o.Retain, RetainNever, RetainKeep, RetainAlways))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("local sink: %w", err)
	}
	each := max(1, min(localBatch, b.router.limit/4))
	return &localSink{b: b, o: o, topic: topic, s: &session{b: b}, each: each}, nil
}

// Name is the kind of the sink.
func (l *localSink) Name() string { return "local" }

// Close ends the sink. Calling it twice is fine.
func (l *localSink) Close() error {
	l.closed.Store(true)
	return nil
}

// waitAgain is how long an event waits for a device before it is looked for again.
const waitAgain = time.Second

// later makes err one of waiting: neither the event's nor a failure.
func later(err error) error { return &gateway.RetryAfter{After: waitAgain, Err: err} }

// errNoSubscriber is why an event waits that requires a subscriber.
var errNoSubscriber = errors.New("no session subscribed to it (wait_for: subscriber)")

// Send publishes the batch in its order, up to the first event that has to wait, and waits until that is routed. What was published is not published
// again: the error of the events behind it is that of the one that waits. With RequireAck events go one by one.
func (l *localSink) Send(ctx context.Context, batch []gateway.Entry) error {
	if l.closed.Load() {
		return fmt.Errorf("publish locally: %w", gateway.ErrClosed)
	}
	errs := make([]error, len(batch))
	next, stop := 0, error(nil)
	for next < len(batch) && stop == nil {
		var topic string
		next, topic, stop = l.part(ctx, batch, next, errs)
		if topic == "" || !l.o.RequireAck {
			continue
		}
		if stop = l.acknowledged(ctx, map[string]bool{topic: true}); stop != nil {
			next-- // it was the only one of its part
		}
	}
	for i := next; i < len(batch); i++ {
		errs[i] = stop
	}
	if next == 0 && stop != nil {
		return stop
	}
	if slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
		return &gateway.BatchError{Errors: errs}
	}
	return nil
}

// part publishes what of the batch goes at once, from first on, and returns the next, and the topic of the last one that was published. stop is why the next has to wait,
// nil if it does not; what can never be published has its error in errs.
func (l *localSink) part(ctx context.Context, batch []gateway.Entry, first int, errs []error) (next int, topic string, stop error) {
	most := l.each
	if l.o.RequireAck {
		most = 1
	}
	bt := l.b.newBatch(l.s, nil)
	for next = first; next < len(batch) && len(bt.routes) < most && len(bt.arena) < batchSize; next++ {
		added, err := l.add(bt, &batch[next].Event)
		if err != nil && !errors.Is(err, gateway.ErrPermanent) {
			stop = err
			break
		}
		if errs[next] = err; err == nil {
			topic = added
		}
	}
	if err := l.b.router.deliver(ctx, bt); err != nil { // nothing of it was published
		return first, "", fmt.Errorf("publish locally: %w", err)
	}
	return next, topic, stop
}

// add adds e to bt and returns its topic, or says why it cannot be published.
func (l *localSink) add(bt *batch, e *gateway.Event) (topic string, err error) {
	p, err := l.publish(e)
	if err != nil {
		return "", gateway.Permanent(err)
	}
	if l.o.RequireSubscriber && !l.b.router.subscribed(p.topic) {
		return "", later(fmt.Errorf("publish locally to the topic %.128q: %w", p.topic, errNoSubscriber))
	}
	if l.o.RequireAck && !l.b.router.listening(p.topic) {
		return "", later(fmt.Errorf("publish locally to the topic %.128q: %w", p.topic, errNobodyNow))
	}
	bt.addRoute(&p, -1)
	return p.topic, nil
}

// publish makes a publish of e.
func (l *localSink) publish(e *gateway.Event) (p publish, err error) {
	p = publish{qos: 1, payload: e.Data}
	if p.topic, err = l.topic.of(e); err != nil {
		return p, err
	}
	var props packets.Properties
	if l.o.Format == FormatCloudEvents {
		props.ContentType = gateway.ContentTypeCloudEventsJSON
		if p.payload, err = e.AppendJSON(nil); err != nil {
			return p, fmt.Errorf("publish locally as CloudEvents JSON: %w", err)
		}
	}
	if size := len(p.topic) + len(p.payload); size > l.b.o.MaxPacketSize {
		return p, fmt.Errorf("publish locally to the topic %.128q: it has %d bytes, the most is %d (max_packet_size)", p.topic, size, l.b.o.MaxPacketSize)
	}
	if props.MessageExpiryInterval, err = expiresIn(e, time.Now()); err != nil {
		return p, err
	}
	if props.ContentType != "" || props.MessageExpiryInterval > 0 {
		p.props, p.v5 = &props, true
	}
	p.retain = l.o.Retain == RetainAlways || l.o.Retain == RetainKeep && e.Extensions[gateway.ExtRetain] == "true"
	return p, nil
}

// expiresIn is in how many seconds e is not worth delivering any more (MQTT 5.0 section 3.3.2.3.3), 0 for never.
func expiresIn(e *gateway.Event, now time.Time) (uint32, error) {
	text := e.Extensions[gateway.ExtExpiry]
	at, err := time.Parse(time.RFC3339Nano, text)
	if text == "" || err != nil { // it says nothing
		return 0, nil
	}
	left := at.Sub(now)
	if left <= 0 {
		return 0, fmt.Errorf("publish locally: the event %w at %s", gateway.ErrExpired, text)
	}
	return uint32(min((left+time.Second-1)/time.Second, math.MaxUint32)), nil
}

// deliver queues a batch when there is room for it, and waits until it is routed. With an error nothing of it is, or
// ever will be.
func (r *router) deliver(ctx context.Context, bt *batch) error {
	if len(bt.routes) == 0 {
		r.b.recycle(bt)
		return nil
	}
	token := make(chan struct{}, 1)
	bt.token = token
	for {
		if err := r.waitForRoom(ctx, bt); err != nil {
			r.b.recycle(bt)
			return err
		}
		taken, err := r.offer(bt)
		if err != nil {
			r.b.recycle(bt)
			return err
		}
		if taken {
			break
		}
	}
	select {
	case <-token:
	case <-ctx.Done(): // it is in the queue, and will be routed
	}
	return nil
}

// waitForRoom waits until what is in the queue is routed, if there is no room for bt.
func (r *router) waitForRoom(ctx context.Context, bt *batch) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r.mu.Lock()
	full := !r.stopped && r.full(len(bt.routes), len(bt.arena)+bt.extra)
	r.mu.Unlock()
	if !full {
		return nil
	}
	return r.pass(ctx)
}

// offer queues a batch if there is room for it.
func (r *router) offer(bt *batch) (taken bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return false, fmt.Errorf("the broker has stopped: %w", gateway.ErrClosed)
	}
	if r.full(len(bt.routes), len(bt.arena)+bt.extra) {
		return false, nil
	}
	r.enqueue(bt)
	return true, nil
}

// subscribed says whether a session has a subscription that matches the topic.
func (r *router) subscribed(topic string) bool {
	r.hold.Lock()
	defer r.hold.Unlock()
	found := r.b.server.Topics.Subscribers(topic)
	return len(found.Subscriptions) > 0 || len(found.Shared) > 0
}

package mqtt

import (
	"context"
	"sync"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// routeBytes bounds the payloads, topics and properties that wait in the routing queue.
const routeBytes = 8 << 20

// router hands publishes that are acknowledged to local subscribers and the retained store, one after the other, on
// one goroutine: nobody waits for it but who has to. What does not fit into its queue is counted and not routed,
// except retained publishes: whoever publishes those waits for room before it submits.
type router struct {
	b     *Broker
	limit int
	wake  chan struct{} // size one

	// hold is held while a publish is routed, and by a connection whose frame changes what is routed by.
	hold   sync.Mutex
	inline *mochi.Client    // bears the publisher's id, so that "no local" works; guarded by hold
	expiry map[string]int64 // of retained publishes that expire, by topic; guarded by hold
	kept   retained         // guarded by hold
	size   int              // of a delivery of what is being routed, 0 while nothing is; guarded by hold
	dated  int64            // when the last thing that was routed with an expiry expires, 0 if there is none; guarded by hold

	mu          sync.Mutex
	first, last *batch // guarded by mu
	count       int    // publishes queued; guarded by mu
	bytes       int    // of their payloads, topics and properties; guarded by mu
	stopped     bool   // guarded by mu
}

func newRouter(b *Broker, limit int) *router {
	return &router{
		b: b, limit: limit, wake: make(chan struct{}, 1), expiry: map[string]int64{}, kept: retained{sizes: map[string]int{}},
		inline: b.server.NewClient(nil, mochi.LocalListener, mochi.InlineClientId, true),
	}
}

// push queues a batch. It never blocks.
func (r *router) push(bt *batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		r.b.stats.routeDropped.Add(uint64(len(bt.routes)))
		bt.signal()
		r.b.recycle(bt)
		return
	}
	if r.full(len(bt.routes), len(bt.arena)+bt.extra) {
		r.thin(bt)
	}
	if len(bt.routes) == 0 && bt.token == nil {
		r.b.recycle(bt)
		return
	}
	r.enqueue(bt)
}

// enqueue puts a batch behind all others. mu is held.
func (r *router) enqueue(bt *batch) {
	r.count += len(bt.routes)
	r.bytes += len(bt.arena) + bt.extra
	if r.first == nil {
		r.first = bt
	} else {
		r.last.next = bt
	}
	r.last = bt
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *router) full(more, bytes int) bool {
	return r.count+more > r.limit || r.bytes+bytes > routeBytes
}

// thin leaves only retained publishes in a batch that found the queue full.
func (r *router) thin(bt *batch) {
	kept := bt.routes[:0]
	for _, p := range bt.routes {
		if p.retain {
			kept = append(kept, p)
		}
	}
	dropped := len(bt.routes) - len(kept)
	clear(bt.routes[len(kept):])
	bt.routes = kept
	r.b.stats.routeDropped.Add(uint64(dropped))
	r.b.slowRoute.report("")
}

// awaitRoom waits until the queue, if it is full, was worked off.
func (r *router) awaitRoom(ctx context.Context) error {
	r.mu.Lock()
	full := r.full(1, 0)
	r.mu.Unlock()
	if !full {
		return nil
	}
	return r.pass(ctx)
}

// pass returns when all that is queued now was routed.
func (r *router) pass(ctx context.Context) error {
	token := make(chan struct{}, 1)
	bt := r.b.newBatch(nil, nil)
	bt.token = token
	r.push(bt)
	select {
	case <-token:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run routes until stop is called and all is routed.
func (r *router) run() {
	for {
		r.mu.Lock()
		bt, stopped := r.first, r.stopped
		r.first = nil
		r.mu.Unlock()
		if bt == nil {
			if stopped {
				return
			}
			<-r.wake
			continue
		}
		for bt != nil {
			next := bt.next
			r.routeBatch(bt)
			bt = next
		}
	}
}

// stop ends run when it has routed what is queued.
func (r *router) stop() {
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *router) routeBatch(bt *batch) {
	r.mu.Lock()
	r.count -= len(bt.routes)
	r.bytes -= len(bt.arena) + bt.extra
	r.mu.Unlock()
	for i := range bt.routes {
		r.route(bt, &bt.routes[i])
	}
	bt.signal()
	r.b.recycle(bt)
}

func (bt *batch) signal() {
	if bt.token != nil {
		bt.token <- struct{}{} // it has room for one, and this is the one
	}
}

// route hands one publish to mochi, which copies what it keeps.
func (r *router) route(bt *batch, p *routed) {
	r.hold.Lock()
	defer r.hold.Unlock()
	defer func() {
		if cause := recover(); cause != nil {
			r.b.panicked("route publish", cause)
		}
	}()
	r.inline.ID = bt.s.id
	r.inline.Properties.ProtocolVersion = 4
	pk := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: p.qos, Retain: p.retain},
		TopicName:   p.topic,
		Payload:     bt.arena[p.payload[0]:p.payload[1]],
		PacketID:    uint16(min(p.qos, 1)),
	}
	if p.v5 {
		r.inline.Properties.ProtocolVersion = 5
	}
	if p.props != nil {
		pk.Properties = *p.props
		pk.Properties.TopicAlias, pk.Properties.TopicAliasFlag = 0, false
	}
	if p.retain {
		r.noteExpiry(p)
		if !r.kept.take(p.topic, len(pk.Payload), propertiesSize(p.props)) {
			r.forgetRetained(p.topic)
			pk.FixedHeader.Retain = false
			r.b.hoard.report(p.topic)
		}
	}
	r.size = deliverySize(p.topic, len(pk.Payload), p.props)
	defer func() { r.size = 0 }()
	if err := r.b.server.InjectPacket(r.inline, pk); err != nil {
		r.b.stats.routeDropped.Add(1)
		r.b.log.Debug("publish not routed", "client", bt.s.id, "error", err)
		return
	}
	r.b.stats.routed.Add(1)
}

// noteExpiry remembers when a retained publish expires. hold is held.
func (r *router) noteExpiry(p *routed) {
	if p.props != nil && p.props.MessageExpiryInterval > 0 {
		r.expiry[p.topic] = r.b.seconds() + int64(p.props.MessageExpiryInterval)
		return
	}
	delete(r.expiry, p.topic)
}

// expire deletes retained publishes and waiting deliveries whose time has come (MQTT 5.0 section 3.3.2.3.3), by the
// monotonic clock: mochi would use the wall clock, which steps when NTP arrives.
// It says whether there is something to look at again.
func (r *router) expire() bool {
	r.hold.Lock()
	defer r.hold.Unlock()
	if r.dated == 0 {
		return false
	}
	now := r.b.seconds()
	for topic, due := range r.expiry {
		if due < now {
			r.kept.drop(topic)
			r.forgetRetained(topic)
		}
	}
	for _, client := range r.b.server.Clients.GetAll() {
		client.ClearExpiredInflights(now, 0)
	}
	if r.dated < now {
		r.dated = 0
	}
	return r.dated > 0
}

// forgetRetained takes a retained publish out of mochi's store. hold is held.
func (r *router) forgetRetained(topic string) {
	delete(r.expiry, topic)
	r.b.server.Topics.RetainMessage(packets.Packet{TopicName: topic})
}

// noteDated tells the keeper that something expires. hold is held.
func (r *router) noteDated(due int64) {
	if r.dated == 0 {
		r.b.wakeKeeper()
	}
	r.dated = max(r.dated, due)
}

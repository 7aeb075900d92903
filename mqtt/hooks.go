package mqtt

import (
	"reflect"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// deliveryQueue is how many deliveries mochi queues for one client before it drops further ones. The queue is worked
// off at once, because our Write never blocks: see awaitDelivery.
const deliveryQueue = 64

// deliveryPatience is how long the router waits for a client's writing goroutine, which only the scheduler can delay.
const deliveryPatience = 2 * time.Second

// hooks is our part in mochi. mochi calls it on the connection's goroutine, on the router's for what it delivers, and
// on the client's own writing goroutine.
type hooks struct {
	mochi.HookBase
	b *Broker
}

// ID is the hook's name in mochi.
func (h *hooks) ID() string { return "gateway" }

// Provides says which events of mochi are wanted.
func (h *hooks) Provides(event byte) bool {
	switch event {
	case mochi.OnConnect, mochi.OnConnectAuthenticate, mochi.OnACLCheck, mochi.OnPacketRead, mochi.OnPacketEncode,
		mochi.OnSubscribe, mochi.OnSubscribed, mochi.OnPublish, mochi.OnQosPublish, mochi.OnRetainPublished,
		mochi.OnQosComplete, mochi.OnQosDropped, mochi.OnPublishDropped:
		return true
	}
	return false
}

// connOf returns the client's connection, also one that has ended; nil for the router's inline client.
func connOf(cl *mochi.Client) *conn {
	c, _ := cl.Net.Conn.(*conn)
	return c
}

// OnConnect tells mochi the id that we gave to a client without one, so that CONNACK has it.
func (h *hooks) OnConnect(cl *mochi.Client, _ packets.Packet) error {
	c := connOf(cl)
	// How long mochi's queue is cannot be asked for, so its field is read: the length of a channel, which is safe.
	c.queue = reflect.ValueOf(&cl.State).Elem().FieldByName("outbound")
	if c.assigned {
		cl.Properties.Props.AssignedClientID = cl.ID
	}
	return nil
}

// OnConnectAuthenticate lets everyone in: who gets here has been authenticated, see connect.
func (h *hooks) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool { return true }

// OnACLCheck decides about subscriptions and deliveries. Publishes are decided before mochi sees them.
func (h *hooks) OnACLCheck(cl *mochi.Client, topic string, write bool) bool {
	c := connOf(cl)
	if c == nil || write {
		return true
	}
	if !h.b.o.Policy.Allowed(c.user, c.id, topic, false) {
		return false
	}
	if size := h.b.router.size; size > 0 && h.b.waiting.crowded(&c.s.unacked, size) {
		h.b.stats.routeDropped.Add(1)
		h.b.laggard.report(c.id)
		return false
	}
	c.awaitDelivery()
	return true
}

// awaitDelivery lets the client's writing goroutine catch up before mochi's queue for it overflows, which would lose
// what is delivered. That goroutine waits for nothing, so this is short. Whoever calls it holds the router.
func (c *conn) awaitDelivery() {
	if c.queue.Len() < deliveryQueue-1 || c.ctx.Err() != nil {
		return
	}
	c.awaiting.Store(true)
	defer c.awaiting.Store(false)
	timeout := time.NewTimer(deliveryPatience)
	defer timeout.Stop()
	for c.queue.Len() > deliveryQueue/2 {
		select {
		case <-c.moved:
		case <-c.ctx.Done():
			return
		case <-timeout.C:
			return
		}
	}
}

// OnPacketRead takes note of a PUBREC, and hides the packet id of a SUBSCRIBE or UNSUBSCRIBE from mochi, which would refuse one that a delivery
// to the same client has.
func (h *hooks) OnPacketRead(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	if pk.FixedHeader.Type == packets.Pubrec { // mochi forgets the publish itself
		h.deliveryOver(cl, pk.PacketID)
	}
	if t := pk.FixedHeader.Type; t != packets.Subscribe && t != packets.Unsubscribe || pk.PacketID == 0 {
		return pk, nil
	}
	connOf(cl).subID = pk.PacketID
	pk.PacketID, pk.FixedHeader.Qos = 0, 0
	return pk, nil
}

// OnPacketEncode completes what mochi is about to write.
func (h *hooks) OnPacketEncode(cl *mochi.Client, pk packets.Packet) packets.Packet {
	c := connOf(cl)
	if c == nil {
		return pk
	}
	switch pk.FixedHeader.Type {
	case packets.Connack:
		pk.Properties.TopicAliasMaximum = topicAliasMaximum
		pk.Properties.MaximumPacketSize = uint32(h.b.o.MaxPacketSize)
	case packets.Suback, packets.Unsuback:
		pk.PacketID = c.subID
	case packets.Publish:
		if c.awaiting.Load() {
			select {
			case c.moved <- struct{}{}:
			default:
			}
		}
		if pk.Expiry > 0 {
			pk.Properties.MessageExpiryInterval = uint32(max(1, pk.Expiry-h.b.seconds()))
		}
	}
	return pk
}

// OnPublish sets the expiry of a publish by the monotonic clock. See router.expire.
func (h *hooks) OnPublish(_ *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	pk.Created, pk.Expiry = 1, 0
	if interval := pk.Properties.MessageExpiryInterval; interval > 0 {
		pk.Expiry = h.b.seconds() + int64(interval)
		h.b.router.noteDated(pk.Expiry)
	}
	return pk, nil
}

// OnQosPublish accounts for what is in flight to a client, and numbers it, because mochi sends it again in the order of that field.
func (h *hooks) OnQosPublish(cl *mochi.Client, pk packets.Packet, _ int64, _ int) {
	c := connOf(cl)
	if c == nil || pk.FixedHeader.Type != packets.Publish {
		return
	}
	if !h.keepDelivery(cl, c, &pk) {
		return
	}
	c.s.deliveries++
	pk.Created = int64(c.s.deliveries)
	cl.State.Inflight.Set(pk)
}

// OnRetainPublished lets a burst of retained publishes into the outbox, whatever its size: they are there anyway.
func (h *hooks) OnRetainPublished(cl *mochi.Client, pk packets.Packet) {
	connOf(cl).out.allow(len(pk.Payload) + len(pk.TopicName) + 64)
}

package mqtt

import (
	"sync"
	"sync/atomic"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// Bounds of the deliveries of QoS 1 and 2 that were not acknowledged, because their subscriber is away or slow.
const (
	waitingEach    = 2 << 20  // bytes for one session
	waitingAll     = 16 << 20 // bytes for all sessions
	waitingPacket  = 896      // what a packet takes in memory beside its topic, payload and properties
	propertyWeight = 32       // what a user property takes beside its text
)

// waiting is the account of those deliveries. mochi bounds their number for each session, but not what they take. Safe
// for concurrent use.
type waiting struct {
	mu    sync.Mutex
	bytes int // guarded by mu
}

// unacked is a session's part of it.
type unacked struct {
	sizes map[uint16]int // by packet id; guarded by waiting.mu
	bytes int            // guarded by waiting.mu
	last  uint16         // the newest packet id; guarded by router.hold
}

// take enters a delivery, and says false if there is no room for it.
func (w *waiting) take(u *unacked, id uint16, size int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.giveLocked(u, id)
	if u.bytes+size > waitingEach || w.bytes+size > waitingAll {
		return false
	}
	if u.sizes == nil {
		u.sizes = map[uint16]int{}
	}
	u.sizes[id] = size
	u.bytes += size
	w.bytes += size
	return true
}

// crowded says whether a delivery to a session that has others unacknowledged would be too much.
func (w *waiting) crowded(u *unacked, size int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return u.bytes > 0 && (u.bytes+size > waitingEach || w.bytes+size > waitingAll)
}

// give ends a delivery, also one that is not known.
func (w *waiting) give(u *unacked, id uint16) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.giveLocked(u, id)
}

func (w *waiting) giveLocked(u *unacked, id uint16) {
	size, ok := u.sizes[id]
	if !ok {
		return
	}
	delete(u.sizes, id)
	u.bytes -= size
	w.bytes -= size
	if len(u.sizes) == 0 {
		u.sizes = nil
	}
}

// forget ends all deliveries of a session.
func (w *waiting) forget(u *unacked) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bytes -= u.bytes
	u.sizes, u.bytes = nil, 0
}

// deliverySize is what a packet that waits for its acknowledgement takes in memory.
func deliverySize(topic string, payload int, props *packets.Properties) int {
	return len(topic) + payload + propertiesSize(props) + waitingPacket
}

// propertiesSize is what the properties of a publish take in memory, about.
func propertiesSize(p *packets.Properties) int {
	if p == nil {
		return 0
	}
	n := len(p.ContentType) + len(p.ResponseTopic) + len(p.CorrelationData)
	for i := range p.User {
		n += len(p.User[i].Key) + len(p.User[i].Val) + propertyWeight
	}
	return n
}

// keepDelivery accounts for a delivery of QoS 1 or 2. One that there is no room for is not kept: a client that is there
// gets it once, one that is away never.
func (h *hooks) keepDelivery(cl *mochi.Client, c *conn, pk *packets.Packet) (kept bool) {
	c.s.unacked.last = pk.PacketID
	if h.b.waiting.take(&c.s.unacked, pk.PacketID, deliverySize(pk.TopicName, len(pk.Payload), &pk.Properties)) {
		return true
	}
	if cl.State.Inflight.Delete(pk.PacketID) {
		atomic.AddInt64(&h.b.server.Info.Inflight, -1)
	}
	if c.ctx.Err() != nil {
		h.b.stats.routeDropped.Add(1)
		h.b.laggard.report(c.id)
	}
	return false
}

// OnQosComplete gives the room of a delivery back that was acknowledged to its end.
func (h *hooks) OnQosComplete(cl *mochi.Client, pk packets.Packet) { h.deliveryOver(cl, pk.PacketID) }

// OnQosDropped gives the room of a delivery back that expired, was refused, or ended with its session.
func (h *hooks) OnQosDropped(cl *mochi.Client, pk packets.Packet) { h.deliveryOver(cl, pk.PacketID) }

// OnPublishDropped gives the room of a delivery back that mochi's queue did not take: mochi forgets it without a word.
func (h *hooks) OnPublishDropped(cl *mochi.Client, pk packets.Packet) {
	if c := connOf(cl); c != nil && c.s != nil && pk.FixedHeader.Qos > 0 {
		h.b.waiting.give(&c.s.unacked, c.s.unacked.last)
	}
}

func (h *hooks) deliveryOver(cl *mochi.Client, id uint16) {
	if c := connOf(cl); c != nil && c.s != nil {
		h.b.waiting.give(&c.s.unacked, id)
	}
}

package mqtt

import (
	"slices"

	"github.com/mochi-mqtt/server/v2/packets"

	"gateway"
)

// A device that lost its connection before the PUBACK sends the publish again, with DUP and the packet id that it had
// (MQTT 5.0 section 4.4). If the log has it, the device is answered and nothing is stored. But it is never known for
// certain what a device has read: the publish may also be its next one, which never came, under the same packet id and
// with the same payload, as a meter sends that has no more to say than "1". So a publish with DUP is compared (packet id,
// topic and payload) with the tail of the client's previous connection alone, each publish of which stands for one:
//
//   - those whose PUBACK was never written (sure). The device sends each of them again, whatever packet ids it has.
//   - those whose PUBACK was written, and not confirmed by the device's system, or read by its program, when the connection
//     ended; after a crash of our own those that the log has, see recall. They count only for clients that do not use a
//     packet id again so soon that it could be another publish's (see packetIDs), and only until a publish with DUP comes that is none of them.
//
// In doubt it is stored: a duplicate is cheap, a loss is not. So is DUP on the connection that had the publish before:
// MQTT 5 forbids it, and only after a reconnect it means what it says with every client.

// kept is a publish of the tail.
type kept struct {
	hash uint64
	id   uint16
	sure bool
}

// hash is what a publish is compared by, beside its packet id. It can be taken of the event in the log again. ownID is
// the ID that the device gave, "" if it gave none.
func (r *retries) hash(topic, ownID string, data []byte) uint64 {
	h := mix(r.sum(topic))
	if ownID != "" {
		h = mix(h + r.sum(ownID))
	}
	return h + r.sumBytes(data)
}

// mix spreads the bits of h (the finalizer of SplitMix64).
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// sentAgain says whether a QoS 1 publish of that hash is one that the log has, and answers it then: behind all that came
// before, so that the original is durable by then. If not, it takes note of its packet id.
func (c *conn) sentAgain(p *publish, hash uint64) bool {
	if !p.dup || !c.inTail(p.packetID, hash) {
		if !p.dup {
			c.dropFromTail(p.packetID)
		}
		c.ids.note(p.packetID, p.dup)
		return false
	}
	c.counts.duplicates++
	bt := c.gather()
	bt.addAck(packets.Puback, p.packetID, 0)
	bt.owe(p.packetID, hash)
	bt.window++
	return true
}

// owe notes that the client is owed the acknowledgement added last.
func (bt *batch) owe(id uint16, hash uint64) {
	bt.owed = append(bt.owed, owed{hash: hash, end: int64(len(bt.acks)), id: id})
}

// inTail says whether the publish is in the tail, and takes it out.
func (c *conn) inTail(id uint16, hash uint64) bool {
	if !c.recalled {
		c.recalled = true
		c.recall()
	}
	for i, k := range c.tail {
		if k.id == id && k.hash == hash {
			c.tail = slices.Delete(c.tail, i, i+1)
			return true
		}
	}
	c.tail = sureOf(c.tail)
	return false
}

// sureOf is the part of the list that is sure, in the same memory.
func sureOf(list []kept) []kept {
	return slices.DeleteFunc(list, func(k kept) bool { return !k.sure })
}

// dropFromTail takes out what had the packet id that the client uses for something new: it will not send that again.
func (c *conn) dropFromTail(id uint16) {
	if len(c.tail) > 0 {
		c.tail = slices.DeleteFunc(c.tail, func(k kept) bool { return k.id == id })
	}
}

// joinTail takes up what the client's previous connection left.
func (c *conn) joinTail() {
	if t := c.b.retries.take(c.mapper.source); t != nil && t.isOf(c.user) {
		c.tail, c.ids, c.recalled = t.list, t.ids, true
		c.ids.join()
	}
}

// leaveTail ends the acknowledgements on this connection, so that what was not acknowledged is known for certain, and
// leaves that, and what is left of the tail before, to the client's next connection.
func (c *conn) leaveTail() {
	c.s.mu.Lock()
	c.owing.sealed = true
	c.s.mu.Unlock()
	reached := c.out.reached()
	if c.out.peer != nil && c.out.peer.reset() {
		reached = 0 // what was confirmed may be unread
	}
	c.s.mu.Lock()
	own := c.owing.end(reached)
	c.s.mu.Unlock()
	if !c.ids.tell() {
		own = sureOf(own)
	}
	c.tail = append(c.tail, own...)
	if extra := len(c.tail) - owedEach; extra > 0 {
		c.tail = c.tail[extra:]
	}
	if len(c.tail) > 0 || c.ids.last != 0 {
		c.b.retries.put(&tail{client: c.mapper.source, user: c.user, list: c.tail, ids: c.ids})
	}
}

// What is kept beside an event of QoS 1 in the log (see gateway.Batch): its packet id, how many publishes before it were
// owed their acknowledgement, whether it came with DUP, and whether packet ids tell this client's publishes apart. 0 is an
// event of another kind.
const (
	retryMarkOwed  = 16      // its lowest bit
	retryMarkMost  = 1 << 10 // more than it holds
	retryMarkDUP   = 1 << 30
	retryMarkAgain = 1 << 31 // they do not
)

// retryMarks makes the marks of a batch with so many publishes owed before it; nil if it has no publish of QoS 1.
func (ws *workspace) retryMarks(before int) []uint32 {
	ws.retry = ws.retry[:0]
	some := false
	for _, m := range ws.marks {
		mark := uint32(0)
		if m.id != 0 {
			some = true
			mark = uint32(m.id) | uint32(min(before+int(m.owed)-1, retryMarkMost-1))<<retryMarkOwed
			if m.dup {
				mark |= retryMarkDUP
			}
			if m.again {
				mark |= retryMarkAgain
			}
		}
		ws.retry = append(ws.retry, mark)
	}
	if !some {
		return nil
	}
	return ws.retry
}

// ownID is the ID that the device gave its event.
func ownID(e *gateway.Event) string {
	if _, own := e.Extensions[ExtClient]; own {
		return e.ID
	}
	return ""
}

package mqtt

import (
	"context"
	"slices"

	"github.com/mochi-mqtt/server/v2/packets"

	"gateway"
)

// A batch takes no more than this: a third of what the log takes at once, by what its events are there, which is more
// than their packets: each counts with the strings of its source, type and topic.
const (
	batchSize   = 128 << 10
	batchEvents = 2048
)

// logSize is what e takes in the log, at most.
func logSize(e *gateway.Event) int {
	n := 128 + len(e.ID) + len(e.Source) + len(e.Type) + len(e.Subject) + len(e.DataContentType) + len(e.DataSchema) + len(e.Data)
	for name, value := range e.Extensions {
		n += len(name) + len(value) + 8
	}
	return n
}

// mark says how far the batch is, behind the event of p.
func (bt *batch) mark(p *publish, again bool) mark {
	m := mark{
		qos: p.qos, dup: p.dup, again: again, owed: uint32(len(bt.owed)), acks: uint32(len(bt.acks)), taken: uint32(len(bt.taken)),
		unlogged: uint32(bt.unlogged), acked: uint32(bt.acked), window: uint32(bt.window),
	}
	if p.qos == 1 {
		m.id = p.packetID
	}
	return m
}

// refuseBatch answers for a batch that the log can never take. What was gathered into one batch is our doing, so the
// events are offered in halves until those are found that are too large by themselves.
func (b *Broker) refuseBatch(ctx context.Context, bt *batch, ws *workspace, cause error) error {
	if len(ws.events) == 1 {
		return b.refuseEvent(bt, ws, cause)
	}
	first, firstWork, rest, restWork := b.split(bt, ws, len(ws.events)/2)
	b.recycle(bt)
	err := b.submit(ctx, first, firstWork)
	if err == nil {
		err = b.submit(ctx, rest, restWork)
	} else {
		b.giveUp(rest, restWork)
	}
	ws.clear()
	return err
}

// split makes two batches of bt: one up to its first n events, and the rest. Their workspaces use the memory of ws.
func (b *Broker) split(bt *batch, ws *workspace, n int) (first *batch, firstWork *workspace, rest *batch, restWork *workspace) {
	at := ws.marks[n-1]
	first, rest = b.newBatch(bt.s, bt.c), b.newBatch(bt.s, bt.c)
	first.acks, rest.acks = append(first.acks, bt.acks[:at.acks]...), append(rest.acks, bt.acks[at.acks:]...)
	first.taken, rest.taken = append(first.taken, bt.taken[:at.taken]...), append(rest.taken, bt.taken[at.taken:]...)
	first.owed, rest.owed = append(first.owed, bt.owed[:at.owed]...), append(rest.owed, bt.owed[at.owed:]...)
	for i := range rest.owed {
		rest.owed[i].end -= int64(at.acks)
	}
	first.unlogged, rest.unlogged = uint64(at.unlogged), bt.unlogged-uint64(at.unlogged)
	first.acked, rest.acked = uint64(at.acked), bt.acked-uint64(at.acked)
	first.window, rest.window = int64(at.window), bt.window-int64(at.window)
	first.retains, rest.retains = bt.retains, bt.retains
	part := first
	for _, r := range bt.routes { // they are in the order of the events
		if r.event >= n {
			part = rest
			r.event -= n
		}
		start := len(part.arena)
		part.arena = append(part.arena, bt.arena[r.payload[0]:r.payload[1]]...)
		r.payload = [2]int{start, len(part.arena)}
		part.routes = append(part.routes, r)
	}
	part.extra = bt.extra
	firstWork = &workspace{events: ws.events[:n:n], marks: ws.marks[:n:n]}
	restWork = &workspace{events: ws.events[n:], marks: ws.marks[n:]}
	for i := range restWork.marks {
		restWork.marks[i].since(at)
	}
	first.countStored(firstWork)
	rest.countStored(restWork)
	return first, firstWork, rest, restWork
}

func (m *mark) since(at mark) {
	m.acks -= at.acks
	m.taken -= at.taken
	m.unlogged -= at.unlogged
	m.acked -= at.acked
	m.window -= at.window
	m.owed -= at.owed
}

func (bt *batch) countStored(ws *workspace) {
	for _, m := range ws.marks {
		if m.qos == 0 {
			bt.stored0++
		} else {
			bt.stored++
		}
	}
}

// refuseEvent answers for the one event of a batch that is too large for the log: see alone. Before MQTT 5 there is no
// answer to QoS 1 and 2 but the end of the connection. The rest of the batch counts.
func (b *Broker) refuseEvent(bt *batch, ws *workspace, cause error) error {
	s, c, at := bt.s, bt.c, ws.marks[0]
	b.unfit.report(s.id + ": " + cause.Error())
	b.stats.refused.Add(1)
	bt.stored0, bt.stored = 0, 0
	bt.owed = bt.owed[:0] // what else is in the batch is new when it is sent again
	if c == nil {
		b.giveUp(bt, ws)
		return cause
	}
	if at.qos > 0 && !c.v5 {
		b.giveUp(bt, ws)
		return packets.ErrImplementationSpecificError
	}
	bt.routes = slices.DeleteFunc(bt.routes, func(r routed) bool { return r.event >= 0 })
	if at.qos > 0 {
		bt.refuseAck(at)
	}
	ws.clear()
	s.queue(bt)
	s.settle(bt, nil)
	return nil
}

// refuseAck turns the acknowledgement of the event of QoS 1 or 2 at that mark into a refusal.
func (bt *batch) refuseAck(at mark) {
	bt.acked--
	ack := at.acks - 4
	bt.acks[ack+1] = 3
	bt.acks = slices.Insert(bt.acks, int(at.acks), packets.ErrImplementationSpecificError.Code)
	if at.qos < 2 {
		return
	}
	bt.window++ // there will be no PUBREL
	id := bt.taken[at.taken-1]
	bt.taken = slices.Delete(bt.taken, int(at.taken-1), int(at.taken))
	bt.s.releaseQoS2(id)
}

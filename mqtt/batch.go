package mqtt

import (
	"errors"
	"fmt"

	"github.com/mochi-mqtt/server/v2/packets"

	"gateway"
)

// batch is what one read of a socket brought: its events go to the log in one Submit, and when they are durable its
// acknowledgements are written at once and its publishes are handed to the router. Batches of a session settle in
// the order in which they were read, so acknowledgements and local deliveries keep that order.
type batch struct {
	s *session
	c *conn // where the acknowledgements go; nil for a will

	acks    []byte
	routes  []routed
	arena   []byte // payloads of routes
	extra   int    // bytes of the routes' topics and properties
	token   chan<- struct{}
	taken   []uint16 // packet ids of its QoS 2 publishes
	owed    []owed   // its QoS 1 publishes
	retains bool     // a route is for the retained store

	// window is how many QoS 1 and 2 publishes are finished for the peer when the acks are written.
	window int64
	// What it holds, for the counters: events for the log by QoS 0 and above, others, and PUBACK and PUBREC.
	stored0, stored, unlogged, acked uint64

	next    *batch // in the session's, then in the router's queue; guarded by s.mu, then router.mu
	settled bool   // by the log, or there is nothing for it; guarded by s.mu
	err     error  // why the log did not take it; guarded by s.mu
	doneFn  func(gateway.Offset, error)
}

// routed is a publish on its way to the local subscribers and the retained store.
type routed struct {
	topic    string
	payload  [2]int // in the arena
	props    *packets.Properties
	event    int // its index among the batch's events, -1 if it is not captured
	qos      byte
	retain   bool
	v5, will bool
}

func (b *Broker) newBatch(s *session, c *conn) *batch {
	bt, ok := b.batches.Get().(*batch)
	if !ok {
		bt = &batch{}
		bt.doneFn = bt.done
	}
	bt.s, bt.c = s, c
	return bt
}

// recycle gives the batch back. What grew beyond the usual is left to the garbage collector.
func (b *Broker) recycle(bt *batch) {
	clear(bt.routes)
	acks, routes, arena, taken, owed, done := bt.acks[:0], bt.routes[:0], bt.arena[:0], bt.taken[:0], bt.owed[:0], bt.doneFn
	if cap(arena) > 4*readSize || cap(routes) > 1024 {
		routes, arena = nil, nil
	}
	*bt = batch{acks: acks, routes: routes, arena: arena, taken: taken, owed: owed, doneFn: done}
	b.batches.Put(bt)
}

// addRoute copies p for the router.
func (bt *batch) addRoute(p *publish, event int) {
	start := len(bt.arena)
	bt.arena = append(bt.arena, p.payload...)
	bt.extra += len(p.topic) + propertiesSize(p.props)
	bt.routes = append(bt.routes, routed{
		topic: p.topic, payload: [2]int{start, len(bt.arena)}, props: p.props, event: event,
		qos: p.qos, retain: p.retain, v5: p.v5, will: p.will,
	})
}

// addAck appends an acknowledgement with a packet id; for MQTT 5 with a reason unless that is success.
func (bt *batch) addAck(kind byte, id uint16, reason byte) {
	first := kind << 4
	if kind == packets.Pubrel {
		first |= 2
	}
	if reason == 0 {
		bt.acks = append(bt.acks, first, 2, byte(id>>8), byte(id))
		return
	}
	bt.acks = append(bt.acks, first, 3, byte(id>>8), byte(id), reason)
}

// done is called by the log, on its goroutine, when the events are durable (or never will be).
func (bt *batch) done(last gateway.Offset, err error) {
	s := bt.s
	if n := bt.stored0 + bt.stored; err == nil && n > 0 && s.b.retries.own.Load() == 0 {
		s.b.retries.own.CompareAndSwap(0, uint64(last)-n+1)
	}
	defer func() {
		if p := recover(); p != nil {
			s.b.panicked("settle batch", p)
			s.b.logFailed(fmt.Errorf("settle batch: %v", p))
		}
	}()
	s.settle(bt, err)
}

// settle marks bt and finishes every batch that waited for nothing but it.
func (s *session) settle(bt *batch, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	bt.settled, bt.err = true, err
	for s.first != nil && s.first.settled {
		first := s.first
		s.first, first.next = first.next, nil
		s.finish(first)
	}
	if s.first == nil && s.detached {
		s.detached = false
		s.b.sessions.release(s)
	}
}

// queue puts bt behind the session's earlier batches. One goroutine at a time queues: the one that holds the turn. It
// returns how many publishes the client is owed acknowledgements for before those of bt.
func (s *session) queue(bt *batch) (owed int) {
	reached := int64(0)
	if len(bt.owed) > 0 {
		reached = bt.c.out.reached()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == nil {
		s.first = bt
	} else {
		s.last.next = bt
	}
	s.last = bt
	if len(bt.owed) > 0 {
		owed = bt.c.owing.enter(bt, reached)
	}
	return owed
}

// unqueue takes back the batch queued last, which the log did not take.
func (s *session) unqueue(bt *batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var before *batch
	for other := s.first; other != bt; other = other.next {
		if other == nil {
			return // it was not queued
		}
		before = other
	}
	if before == nil {
		s.first = bt.next
	} else {
		before.next = bt.next
	}
	s.last, bt.next = before, nil
	if len(bt.owed) > 0 {
		bt.c.owing.leave(bt)
	}
}

// finish writes the acknowledgements of a settled batch and hands its publishes to the router. s.mu is held, so it
// must not block; bt is not the session's afterwards.
func (s *session) finish(bt *batch) {
	b := s.b
	if bt.err != nil {
		b.stats.dropped.Add(bt.stored0)
		b.stats.disconnected.Add(bt.stored + bt.unlogged)
		if !errors.Is(bt.err, gateway.ErrClosed) || !b.stopping.Load() {
			b.logFailed(bt.err)
		}
		if bt.c != nil {
			bt.c.shut(packets.ErrServerUnavailable)
		}
		b.recycle(bt)
		return
	}
	b.stats.stored.Add(bt.stored0 + bt.stored)
	b.stats.unlogged.Add(bt.unlogged)
	if bt.c != nil && len(bt.acks) > 0 && !bt.c.owing.sealed {
		b.stats.acked.Add(bt.acked)
		bt.c.acknowledged.Add(bt.window)
		if start := bt.c.send(bt.acks); start >= 0 && len(bt.owed) > 0 {
			bt.c.owing.wrote(bt, start)
		}
	}
	if len(bt.routes) > 0 || bt.token != nil {
		b.router.push(bt)
		return
	}
	b.recycle(bt)
}

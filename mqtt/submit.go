package mqtt

import (
	"context"
	"errors"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"gateway"
)

// counts are a connection's counters of what needs no commit; submit adds them to the broker's.
type counts struct{ received, duplicates, refused uint64 }

func (b *Broker) count(c *counts) {
	if *c == (counts{}) {
		return
	}
	b.stats.received.Add(c.received)
	b.stats.duplicates.Add(c.duplicates)
	b.stats.refused.Add(c.refused)
	*c = counts{}
}

// submit hands the gathered batch to the log, or settles it at once where there is nothing for the log in it.
func (c *conn) submit() error {
	c.b.count(&c.counts)
	if c.batch == nil {
		return nil
	}
	err := c.b.submit(c.ctx, c.batch, c.ws)
	c.batch = nil
	c.ws.clear()
	return err
}

// abandon forgets the gathered batch of a connection that ends by a panic.
func (c *conn) abandon() {
	bt := c.batch
	if bt == nil {
		return
	}
	c.batch = nil
	c.s.unqueue(bt)
	for _, id := range bt.taken {
		c.s.releaseQoS2(id)
	}
	c.b.stats.dropped.Add(bt.stored0)
	c.b.stats.disconnected.Add(bt.stored + bt.unlogged)
}

// submit queues bt and gives its events, which are in ws, to the log. With an error nothing of bt was acknowledged
// and its packet ids are free again. A full log is waited for: QoS 0 is dropped at once, the rest tried again for
// FullTimeout.
func (b *Broker) submit(ctx context.Context, bt *batch, ws *workspace) error {
	s := bt.s
	if bt.retains {
		if err := b.router.awaitRoom(ctx); err != nil {
			b.giveUp(bt, ws)
			return err
		}
	}
	err := b.offer(ctx, bt, ws)
	if err == nil {
		return nil
	}
	if errors.Is(err, gateway.ErrFull) {
		b.dropQoS0(bt, ws)
		err = b.insist(ctx, bt, ws)
	}
	if err == nil {
		return nil
	}
	if errors.Is(err, gateway.ErrPermanent) {
		return b.refuseBatch(ctx, bt, ws, err)
	}
	if !errors.Is(err, gateway.ErrFull) && ctx.Err() == nil {
		b.logFailed(err)
		err = packets.ErrServerUnavailable
	}
	if errors.Is(err, gateway.ErrFull) {
		b.full.report(s.id)
		err = packets.ErrQuotaExceeded
	}
	b.giveUp(bt, ws)
	return err
}

// offer tries once. If it returns nil, bt is not ours any more.
func (b *Broker) offer(ctx context.Context, bt *batch, ws *workspace) error {
	s := bt.s
	owed := s.queue(bt)
	if len(ws.events) == 0 {
		s.settle(bt, nil)
		return nil
	}
	if err := b.sink.Submit(ctx, gateway.Batch{Events: ws.events, Marks: ws.retryMarks(owed)}, bt.doneFn); err != nil {
		s.unqueue(bt)
		return err
	}
	b.full.over()
	return nil
}

// insist offers bt again and again while the log is full, with pauses of 10 ms to 320 ms.
func (b *Broker) insist(ctx context.Context, bt *batch, ws *workspace) error {
	until := time.Now().Add(b.o.FullTimeout)
	pause := 10 * time.Millisecond
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		err := b.offer(ctx, bt, ws)
		if !errors.Is(err, gateway.ErrFull) || time.Now().Add(pause).After(until) {
			return err
		}
		timer.Reset(pause)
		pause = min(2*pause, 320*time.Millisecond)
	}
}

// dropQoS0 takes the QoS 0 publishes out of a batch that found the log full.
func (b *Broker) dropQoS0(bt *batch, ws *workspace) {
	if bt.stored0 == 0 {
		return
	}
	b.stats.dropped.Add(bt.stored0)
	b.full.report(bt.s.id)
	bt.stored0 = 0
	kept := make([]int, len(ws.events)) // where an event went; -1: nowhere
	n := 0
	for i := range ws.events {
		kept[i] = -1
		if ws.marks[i].qos > 0 {
			ws.events[n], ws.marks[n], kept[i] = ws.events[i], ws.marks[i], n
			n++
		}
	}
	clear(ws.events[n:])
	ws.events, ws.marks = ws.events[:n], ws.marks[:n]
	routes := bt.routes[:0]
	for _, r := range bt.routes {
		if r.event >= 0 {
			if r.event = kept[r.event]; r.event < 0 {
				continue
			}
		}
		routes = append(routes, r)
	}
	clear(bt.routes[len(routes):])
	bt.routes = routes
}

// giveUp forgets a batch that the log did not take: its senders are not acknowledged, and what they send again is new.
func (b *Broker) giveUp(bt *batch, ws *workspace) {
	for _, id := range bt.taken {
		bt.s.releaseQoS2(id)
	}
	b.stats.dropped.Add(bt.stored0)
	b.stats.disconnected.Add(bt.stored + bt.unlogged)
	ws.clear()
	b.recycle(bt)
}

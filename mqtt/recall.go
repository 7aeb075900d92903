package mqtt

import (
	"strings"

	"gateway"
)

// recall takes up what the log knows about the client's previous connection, if that was in another life of this
// process: what a crash left is found when the first device sends again, not at each start.
func (c *conn) recall() {
	c.b.retries.once.Do(c.b.recall)
	t := c.b.retries.take(c.mapper.source)
	if t == nil || !t.isOf(c.user) {
		return
	}
	c.tail = t.list
	if !c.ids.begun {
		c.ids = t.ids
		c.ids.join()
	}
	c.ids.again = max(c.ids.again, t.ids.again)
}

// recall reads the tails of all clients out of the newest events of the log.
func (b *Broker) recall() {
	for {
		own := b.retries.own.Load()
		past := newPast(b, own)
		if err := b.sink.Recent(past.add); err != nil {
			b.log.Warn("the newest events of the log cannot be read: what devices send again now is stored again", "error", err)
			return
		}
		if b.retries.own.Load() != own {
			continue // what it has read may be of this process
		}
		past.keep()
		return
	}
}

// past gathers the tails from events, oldest first.
type past struct {
	b     *Broker
	until gateway.Offset // the first offset of this process, 0 if it has none yet
	found *retries
}

func newPast(b *Broker, until uint64) *past {
	return &past{b: b, until: gateway.Offset(until), found: newRetries()}
}

// add takes an event for the newest of its client's tail, and drops from that what was acknowledged by then.
func (p *past) add(e *gateway.Entry, mark uint32) error {
	id := uint16(mark)
	if id == 0 || p.until > 0 && e.Offset >= p.until {
		return nil
	}
	client, ok := p.b.clientOf(&e.Event)
	if !ok {
		return nil
	}
	t := p.found.take(client)
	if t == nil {
		t = &tail{client: client, anyUser: true}
	}
	before := int(mark>>retryMarkOwed) & (retryMarkMost - 1)
	if extra := len(t.list) - before; extra > 0 {
		t.list = t.list[extra:]
	}
	t.ids.join() // it may be another connection
	t.ids.note(id, mark&retryMarkDUP != 0)
	if mark&retryMarkAgain != 0 {
		t.ids.again = settledIDs
	}
	t.list = append(t.list, kept{hash: p.b.retries.hash(e.Event.Topic(), ownID(&e.Event), e.Event.Data), id: id})
	p.found.put(t)
	return nil
}

// keep hands the tails over. Nothing in them is sure, so they say nothing of clients that packet ids do not tell much of.
func (p *past) keep() {
	for e := p.found.order.Back(); e != nil; e = e.Prev() {
		t, ok := e.Value.(*tail)
		if !ok {
			continue // it has nothing but tails
		}
		if !t.ids.tell() {
			t.list = nil
		}
		p.b.retries.putOld(t)
	}
}

// clientOf returns whose publish the event was, as the source of that client's events; false if that is not certain.
func (b *Broker) clientOf(e *gateway.Event) (string, bool) {
	client, own := e.Extensions[ExtClient]
	if !own {
		return e.Source, true
	}
	if strings.Contains(client, "%") { // it may stand for another character
		return "", false
	}
	return newMapper(b.o.GatewayID, client).source, true
}

package mqtt

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/mochi-mqtt/server/v2/packets"

	"gateway"
)

// alone is the size, in bytes, of a PUBLISH that is a batch of its own, so that the log can refuse it alone.
const alone = 32 << 10

// nextPass handles what the client sends until a frame comes that is mochi's, and leaves that in c.pass. All
// publishes that one read brought are one batch.
func (c *conn) nextPass() error {
	for {
		if c.ws != nil && c.pending() {
			f, need, ok, err := nextFrame(c.ws.buf[c.ws.r:c.ws.w], c.b.o.MaxPacketSize, c.v5)
			if err != nil {
				return c.refuse(err)
			}
			if ok {
				c.ws.r += need
				c.in.lastFrame = c.in.last
				if done, err := c.handle(f); done || err != nil {
					return err
				}
				continue
			}
			if err := c.submit(); err != nil {
				return c.failed(err)
			}
			if err := c.fill(need); err != nil {
				return c.failed(err)
			}
			continue
		}
		if err := c.submit(); err != nil {
			return c.failed(err)
		}
		if err := c.fill(0); err != nil {
			return c.failed(err)
		}
	}
}

func (c *conn) pending() bool { return c.ws.r < c.ws.w }

// handle handles one frame; done says that it is mochi's.
func (c *conn) handle(f frame) (done bool, err error) {
	switch f.kind {
	case packets.Publish:
		err = c.onPublish(f)
	case packets.Pubrel:
		err = c.onPubrel(f)
	default:
		return true, c.hand(f)
	}
	if err != nil {
		return false, c.refuse(err)
	}
	return false, nil
}

// refuse ends the connection over what the client sent. What it sent before that counts.
func (c *conn) refuse(err error) error {
	if serr := c.submit(); serr != nil {
		return c.failed(serr)
	}
	return c.failed(err)
}

// failed ends the connection: an MQTT 5 client is told why (MQTT 5.0 section 3.14.2.1).
func (c *conn) failed(err error) error {
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	var code packets.Code
	if errors.As(err, &code) {
		c.shut(code)
		return err
	}
	if errors.Is(err, errKeepAlive) {
		c.shut(packets.ErrKeepAliveTimeout)
		return err
	}
	c.stop(errEnded)
	return err
}

// onPublish adds a PUBLISH to the batch.
func (c *conn) onPublish(f frame) error {
	raw, err := splitPublish(f.flags, f.body, c.v5)
	if err != nil {
		return err
	}
	p := publish{
		payload: raw.payload, packetID: raw.packetID, v5: c.v5,
		qos: f.flags >> 1 & 3, retain: f.flags&1 != 0, dup: f.flags&8 != 0,
	}
	if raw.props != nil {
		if p.props, err = decodeProperties(packets.Publish, raw.props); err != nil {
			return err
		}
		if err := checkPublishProperties(p.props); err != nil {
			return err
		}
	}
	t, err := c.resolve(raw.topic, p.props)
	if err != nil {
		return err
	}
	c.counts.received++
	if t.refused.Code != 0 {
		p.topic = t.name
		return c.refusePublish(&p, t.refused)
	}
	p.topic = t.name
	if p.qos == 2 && !c.s.takeQoS2(p.packetID) {
		c.counts.duplicates++
		c.gather().addAck(packets.Pubrec, p.packetID, 0)
		return nil
	}
	if err := c.countReceive(&p); err != nil {
		return err
	}
	if len(f.raw) <= alone {
		return c.add(&p, t.captured)
	}
	if err := c.submit(); err != nil {
		return err
	}
	if err := c.add(&p, t.captured); err != nil {
		return err
	}
	return c.submit()
}

// countReceive enforces our Receive Maximum (MQTT 5.0 section 3.3.4).
func (c *conn) countReceive(p *publish) error {
	if p.qos == 0 {
		return nil
	}
	c.taken++
	if c.v5 && c.taken-c.acknowledged.Load() > int64(c.b.o.ReceiveMaximum) {
		c.counts.refused++
		if p.qos == 2 {
			c.s.releaseQoS2(p.packetID)
		}
		return packets.ErrReceiveMaximum
	}
	return nil
}

// refusePublish answers a publish that can never be accepted. Before MQTT 5 there is no answer but the end of the
// connection: an acknowledgement would say that we keep it.
func (c *conn) refusePublish(p *publish, code packets.Code) error {
	c.counts.refused++
	c.b.denied.report(c.about(p.topic) + ": " + code.Reason)
	switch {
	case p.qos == 0:
		return nil
	case !c.v5:
		return code
	case p.qos == 1:
		c.gather().addAck(packets.Puback, p.packetID, code.Code)
	default:
		c.gather().addAck(packets.Pubrec, p.packetID, code.Code)
	}
	return nil
}

func (c *conn) gather() *batch {
	if c.batch == nil {
		c.batch = c.b.newBatch(c.s, c)
	}
	return c.batch
}

// add puts an accepted publish into the batch: the event, the acknowledgement, and what is routed. A batch that has
// enough is submitted before that.
func (c *conn) add(p *publish, captured bool) error {
	var e gateway.Event
	size, hash := 0, uint64(0)
	looped := false
	if captured {
		e = c.mapper.event(p)
		looped = c.mapper.loops(&e, c.b)
		captured = !looped
	}
	if captured {
		size = logSize(&e)
	}
	if captured && p.qos == 1 {
		hash = c.b.retries.hash(p.topic, e.ID, e.Data)
		if c.sentAgain(p, hash) {
			return nil
		}
	}
	if n := len(c.ws.events); n > 0 && (c.ws.size+size > batchSize || n == batchEvents) {
		if err := c.submit(); err != nil {
			return err
		}
	}
	bt := c.gather()
	event := -1
	if captured {
		event = len(c.ws.events)
		c.ws.events = append(c.ws.events, e)
		c.ws.size += size
	}
	switch {
	case !captured:
		bt.unlogged++
	case p.qos == 0:
		bt.stored0++
	default:
		bt.stored++
	}
	switch p.qos {
	case 1:
		bt.addAck(packets.Puback, p.packetID, 0)
		bt.acked++
		bt.window++
		if captured {
			bt.owe(p.packetID, hash)
		}
	case 2:
		bt.addAck(packets.Pubrec, p.packetID, 0)
		bt.acked++
		bt.taken = append(bt.taken, p.packetID)
	}
	if captured {
		c.ws.marks = append(c.ws.marks, bt.mark(p, c.ids.again > 0))
	}
	if !looped && (p.retain || c.b.subscribers.Load() > 0) {
		bt.retains = bt.retains || p.retain
		bt.addRoute(p, event)
	}
	c.published = true
	return nil
}

// onPubrel ends a QoS 2 publish (MQTT 5.0 section 4.3.3). Its PUBCOMP stands behind all that came before it, so it
// never speaks for something that is not durable.
func (c *conn) onPubrel(f frame) error {
	if len(f.body) < 2 || !c.v5 && len(f.body) != 2 {
		return packets.ErrMalformedPacketID
	}
	id := binary.BigEndian.Uint16(f.body)
	if id == 0 {
		return packets.ErrProtocolViolationNoPacketID
	}
	reason := byte(0)
	bt := c.gather()
	if c.s.releaseQoS2(id) {
		bt.window++
	} else if c.v5 {
		reason = packets.ErrPacketIdentifierNotFound.Code
	}
	bt.addAck(packets.Pubcomp, id, reason)
	return nil
}

// hand gives a frame to mochi, behind the connection's publishes.
func (c *conn) hand(f frame) error {
	if err := c.submit(); err != nil {
		return c.failed(err)
	}
	c.pass, c.passHolds = f.raw, false
	switch f.kind {
	case packets.Puback, packets.Pubrec, packets.Pubcomp:
		c.acknowledgement(f)
	case packets.Subscribe, packets.Unsubscribe:
		c.passHolds = true
		if err := c.barrier(); err != nil {
			return err
		}
		return c.out.awaitLow(c.ctx)
	case packets.Disconnect:
		if err := c.barrier(); err != nil {
			return err
		}
		return c.onDisconnect(f)
	}
	return nil
}

// barrier waits until all that the connection published is routed.
func (c *conn) barrier() error {
	if !c.published {
		return nil
	}
	if c.token == nil {
		c.token = make(chan struct{}, 1)
	}
	bt := c.b.newBatch(c.s, c)
	bt.token = c.token
	c.s.queue(bt)
	c.s.settle(bt, nil)
	select {
	case <-c.token:
		c.published = false
		return nil
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
}

package mqtt

import (
	"context"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// will is what a client wants published if it goes without a DISCONNECT (MQTT 5.0 section 3.1.2.5).
type will struct {
	p        publish
	delay    uint32 // seconds
	captured bool
	mapper   *mapper
}

// newWill takes the will out of a CONNECT. Its memory is the packet's own.
func newWill(pk *packets.Packet) *will {
	w := &will{p: publish{
		topic: pk.Connect.WillTopic, payload: pk.Connect.WillPayload, qos: pk.Connect.WillQos,
		retain: pk.Connect.WillRetain, v5: pk.ProtocolVersion == 5, will: true,
	}}
	if w.p.v5 {
		props := pk.Connect.WillProperties
		w.delay, props.WillDelayInterval = props.WillDelayInterval, 0
		w.p.props = &props
	}
	return w
}

// publishWill publishes w behind all that its client published. The caller has the session's turn. A will that the
// log does not take is still routed: subscribers here should know.
func (s *session) publishWill(ctx context.Context, w *will) {
	b := s.b
	b.stats.received.Add(1)
	ws := b.takeWorkspace()
	defer b.giveWorkspace(ws)
	bt := b.newBatch(s, nil)
	bt.fillWill(w, ws)
	err := b.submit(ctx, bt, ws)
	if err == nil {
		return
	}
	b.log.Warn("will not stored", "client", s.id, "topic", w.p.topic, "error", err)
	lost := b.newBatch(s, nil)
	lost.addRoute(&w.p, -1)
	s.queue(lost)
	s.settle(lost, nil)
}

func (bt *batch) fillWill(w *will, ws *workspace) {
	event := -1
	switch {
	case !w.captured:
		bt.unlogged++
	case w.p.qos == 0:
		bt.stored0++
	default:
		bt.stored++
	}
	if w.captured {
		event = 0
		ws.events = append(ws.events, w.mapper.event(&w.p))
		ws.marks = append(ws.marks, mark{qos: w.p.qos})
	}
	bt.retains = w.p.retain
	bt.addRoute(&w.p, event)
}

// leaveWill publishes the connection's will, or sets the time for it (MQTT 5.0 section 3.1.3.2.2).
func (c *conn) leaveWill(ctx context.Context) {
	w := c.will
	if w == nil || c.b.stopping.Load() || c.b.failed.Load() {
		// At a stop the gateway goes away, not the device (MQTT 5.0 section 3.1.2.5 lets a server do without).
		return
	}
	delay := w.delay
	if !c.lasting {
		delay = 0
	}
	if c.expiry != never {
		delay = min(delay, c.expiry)
	}
	if delay == 0 {
		c.s.publishWill(ctx, w)
		return
	}
	c.s.will, c.s.willAt = w, time.Now().Add(time.Duration(delay)*time.Second)
}

package mqtt

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// nothingFor makes sure that nothing comes for a while. It is for when the broker does not read, and so could not
// answer a ping.
func (c *rawClient) nothingFor(d time.Duration) {
	c.t.Helper()
	if r, err := c.readWithin(d); !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("got %v, %v, want nothing", r, err)
	}
}

// receiveMaximumIn: the Receive Maximum that the broker names is what it takes before acknowledging.
func receiveMaximumIn(w *world) {
	const most = 3
	for qos := byte(1); qos <= 2; qos++ {
		w.start(setup{receiveMaximum: most})
		c := w.dial(5)
		c.send(c.connectFrame(hello{id: "c"}))
		if r := c.expect(packets.Connack); r.props.ReceiveMaximum != most {
			w.Fatalf("got Receive Maximum %d, want %d", r.props.ReceiveMaximum, most)
		}
		for round := range 3 { // acknowledged publishes make room
			for id := uint16(1); id <= most; id++ {
				c.publish(message{topic: "a", payload: fmt.Sprint(round), qos: qos, id: id})
			}
			for id := uint16(1); id <= most; id++ {
				c.expectAck(map[byte]byte{1: packets.Puback, 2: packets.Pubrec}[qos], id)
			}
			for id := uint16(1); qos == 2 && id <= most; id++ {
				c.ack(packets.Pubrel, id)
				c.expectAck(packets.Pubcomp, id)
			}
		}
		w.log.hold()
		for id := uint16(1); id <= most+1; id++ {
			c.publish(message{topic: "a", payload: "late", qos: qos, id: id})
		}
		last := c.expectClosed()
		if len(last) != 1 || last[0].kind != packets.Disconnect || last[0].reason != packets.ErrReceiveMaximum.Code {
			w.Errorf("QoS %d: got %v, want DISCONNECT 0x93", qos, last)
		}
		w.log.open()
		w.until("what was taken is durable", func() bool { return len(w.log.events()) >= 3*most })
		if got := len(w.log.events()); got > 4*most {
			w.Errorf("QoS %d: got %d events stored, want %d at most", qos, got, 4*most)
		}
	}
}

// finish takes the acknowledgement of a publish to its end.
func (c *rawClient) finish(qos byte, id uint16) {
	c.t.Helper()
	if qos == 1 {
		c.expectAck(packets.Puback, id)
		return
	}
	c.expectAck(packets.Pubrec, id)
	c.ack(packets.Pubrel, id)
	c.expectAck(packets.Pubcomp, id)
}

// receiveMaximumOut: no more publishes are on their way to a subscriber than its Receive Maximum, none is lost, and
// their order stays.
func receiveMaximumOut(w *world) {
	for qos := byte(1); qos <= 2; qos++ {
		w.start(setup{})
		sub := w.join(5, hello{id: "sub", keep: true, receiveMax: 2})
		sub.subscribe(qos, "t")
		pub := w.join(4, hello{id: "pub"})
		const many = 12
		for i := range many {
			pub.publish(message{topic: "t", payload: fmt.Sprint(i), qos: 2, id: uint16(i + 1)})
			pub.finish(2, uint16(i+1))
		}
		flight := []received{sub.expectMessage("0"), sub.expectMessage("1")}
		sub.quiet()
		for i := 2; i < many/2; i++ {
			flight = append(sub.release(flight, qos), sub.expectMessage(fmt.Sprint(i)))
			sub.quiet()
		}
		sub.close()

		sub = w.join(5, hello{id: "sub", keep: true, receiveMax: 2})
		flight = flight[:0]
		for i := many/2 - 2; i < many; i++ {
			if len(flight) == 2 {
				sub.quiet()
				flight = sub.release(flight, qos)
			}
			flight = append(flight, sub.expectMessage(fmt.Sprint(i)))
		}
		for len(flight) > 0 {
			flight = sub.release(flight, qos)
		}
		sub.quiet()
	}
}

// release acknowledges the first of the publishes in flight to its end, and returns the others.
func (c *rawClient) release(flight []received, qos byte) []received {
	c.t.Helper()
	id := flight[0].id
	if qos == 1 {
		c.ack(packets.Puback, id)
		return flight[1:]
	}
	c.ack(packets.Pubrec, id)
	if r := c.expect(packets.Pubrel); r.id != id {
		c.t.Fatalf("got %v, want PUBREL %d", r, id)
	}
	c.ack(packets.Pubcomp, id)
	return flight[1:]
}

// fullLog: a full log withholds the acknowledgement, and gives it when there is room again. QoS 0 is dropped.
func fullLog(w *world) {
	for _, version := range []byte{4, 5} {
		for qos := byte(0); qos <= 2; qos++ {
			w.start(setup{fullTimeout: time.Minute})
			c := w.join(version, hello{id: "c"})
			w.log.setFull(true)
			c.publish(message{topic: "a", payload: "x", qos: qos, id: 1})
			w.until("the log was asked", func() bool { _, _, refusals := w.log.counts(); return refusals > 0 })
			c.nothingFor(50 * time.Millisecond)
			w.log.setFull(false)
			if qos == 0 {
				c.publish(message{topic: "a", payload: "y", qos: 1, id: 2})
				c.expectAck(packets.Puback, 2)
				w.wantStored("y")
				continue
			}
			c.finish(qos, 1)
			w.wantStored("x")
		}
	}
}

// fullForLong: a client whose publish finds no room for the bounded time is disconnected without an acknowledgement,
// and served when there is room again.
func fullForLong(w *world) {
	for _, version := range []byte{4, 5} {
		for qos := byte(1); qos <= 2; qos++ {
			w.start(setup{fullTimeout: 100 * time.Millisecond})
			c := w.join(version, hello{id: "c", keep: true})
			w.log.setFull(true)
			c.publish(message{topic: "a", payload: "x", qos: qos, id: 1})
			last := c.expectClosed()
			switch {
			case version == 4 && len(last) > 0:
				w.Errorf("QoS %d: got %v, want nothing before the end", qos, last)
			case version == 5 && (len(last) != 1 || last[0].kind != packets.Disconnect || last[0].reason < 0x80):
				w.Errorf("QoS %d: got %v, want DISCONNECT with a reason", qos, last)
			}
			w.log.setFull(false)
			c = w.join(version, hello{id: "c", keep: true})
			c.quiet()
			c.publish(message{topic: "a", payload: "x", qos: qos, id: 1, dup: true})
			c.finish(qos, 1)
			w.wantStored("x")
		}
	}
}

// brokenLog: when the log fails for good, nothing that it did not keep is acknowledged, and clients are let go.
func brokenLog(w *world) {
	for _, version := range []byte{4, 5} {
		w.start(setup{})
		c := w.join(version, hello{id: "c"})
		w.log.hold()
		c.publish(message{topic: "a", payload: "x", qos: 1, id: 1})
		w.untilWaiting(1)
		w.log.fail()
		w.log.open()
		for _, r := range c.expectClosed() {
			if r.kind == packets.Puback && r.reason < 0x80 {
				w.Errorf("got %v for what was not kept", r)
			}
		}
	}
}

package mqtt

import (
	"slices"

	"github.com/mochi-mqtt/server/v2/packets"
)

// untilGone waits until no client is connected.
func (w *world) untilGone() {
	w.Helper()
	w.until("no client is connected", func() bool { return w.server.clients() == 0 })
}

// wantDuplicates checks the counter, where the design has one.
func (w *world) wantDuplicates(want uint64) {
	w.Helper()
	if w.server.status == nil {
		return
	}
	if got := w.server.status().Duplicates; got != want {
		w.Errorf("got %d duplicates counted, want %d", got, want)
	}
}

func pulse(id uint16, dup bool) message {
	return message{topic: "meter/pulse", payload: "1", qos: 1, id: id, dup: dup}
}

// sentAgainAfterCut: what a device sends again because its connection ended before the PUBACK is answered, behind its
// original, and neither stored nor routed twice.
func sentAgainAfterCut(w *world) {
	for _, version := range []byte{4, 5} {
		for _, keep := range []bool{true, false} {
			w.start(setup{})
			watcher := w.watcher("meter/#", "marker")
			c := w.join(version, hello{id: "meter", keep: keep})
			w.log.hold()
			c.publish(pulse(7, false))
			w.untilWaiting(1)
			c.close()
			w.until("the meter is gone", func() bool { return w.server.clients() == 1 })
			c = w.join(version, hello{id: "meter", keep: keep})
			c.publish(pulse(7, true))
			c.quiet() // no acknowledgement before the original is durable
			w.log.open()
			c.expectAck(packets.Puback, 7)
			c.publish(message{topic: "meter/other", payload: "2", qos: 1, id: 8})
			c.expectAck(packets.Puback, 8)
			w.wantStored("1", "2")
			w.wantDuplicates(1)
			watcher.expectMessage("1")
			watcher.expectMessage("2")
			w.nothingElse(watcher)
		}
	}
}

// sentAgainUnread: the same where the PUBACK was written, and the device was gone before it read that.
func sentAgainUnread(w *world) {
	for _, version := range []byte{4, 5} {
		w.start(setup{})
		c := w.join(version, hello{id: "meter", keep: true})
		c.send(c.publishFrame(pulse(1, false)), c.publishFrame(pulse(2, false)), c.publishFrame(pulse(3, false)))
		w.until("3 events durable", func() bool { return len(w.log.events()) == 3 })
		c.close()
		w.untilGone()
		c = w.join(version, hello{id: "meter", keep: true})
		for id := range uint16(4) {
			c.publish(pulse(id+1, true)) // the fourth never came
			c.expectAck(packets.Puback, id+1)
		}
		w.wantStored("1", "1", "1", "1")
		w.wantDuplicates(3)
	}
}

// sentAgainTwice: a PUBACK that answers DUP can be lost as well.
func sentAgainTwice(w *world) {
	w.start(setup{})
	w.log.hold()
	for i := range 4 {
		c := w.join(4, hello{id: "meter", keep: true})
		c.publish(pulse(7, i > 0))
		c.quiet()
		w.untilWaiting(1)
		c.close()
		w.untilGone()
	}
	w.log.open()
	c := w.join(4, hello{id: "meter", keep: true})
	c.publish(pulse(7, true))
	c.expectAck(packets.Puback, 7)
	w.wantStored("1")
	w.wantDuplicates(4)
}

// sentAgainAfterCrash: the same, across our own end: the log knows what there was.
func sentAgainAfterCrash(w *world) {
	for _, keep := range []bool{true, false} {
		w.start(setup{})
		other := w.join(4, hello{id: "meter/2"})
		other.publish(pulse(7, false))
		other.expectAck(packets.Puback, 7)
		c := w.join(4, hello{id: "meter", keep: keep})
		for id := range uint16(3) {
			c.publish(pulse(id+5, false))
			c.expectAck(packets.Puback, id+5)
		}
		w.server = w.design(w.TB, setup{}, w.log) // another life on the same log
		c = w.join(4, hello{id: "meter", keep: keep})
		c.publish(pulse(7, true)) // its PUBACK may not have been read
		c.expectAck(packets.Puback, 7)
		c.publish(pulse(8, true)) // came too late for the crash
		c.expectAck(packets.Puback, 8)
		w.wantStored("1", "1", "1", "1", "1")
		w.wantDuplicates(1)
	}
}

// meterLosesNothing: the packet id and payload of a pulse that never came are those of one that was acknowledged before.
func meterLosesNothing(w *world) {
	for _, dup := range []bool{false, true} {
		w.start(setup{})
		for range 5 {
			c := w.join(4, hello{id: "meter", keep: true})
			for id := range uint16(3) { // they begin at 1 with each connection
				c.publish(pulse(id+1, dup))
				c.expectAck(packets.Puback, id+1)
			}
			frame := c.publishFrame(pulse(1, dup))
			c.send(frame[:len(frame)-1])
			c.close()
			w.untilGone()
		}
		w.wantStored(slices.Repeat([]string{"1"}, 15)...)
		w.wantDuplicates(0)
	}
}

// onePacketID: a meter may use the same packet id for ever (MQTT 5.0 section 2.2.1). A pulse that never came is not the
// one before, whose PUBACK was read, also when nobody knows that because the connection was reset or we crashed.
func onePacketID(w *world) {
	w.start(setup{})
	stored := 0
	for i := range 6 {
		c := w.join(4, hello{id: "meter", keep: true})
		for range 3 {
			c.publish(pulse(1, stored > 0 && stored%3 == 0)) // the first of a connection is sent again
			c.expectAck(packets.Puback, 1)
			stored++
		}
		switch i % 3 {
		case 0:
			c.close()
		case 1:
			c.reset()
		case 2:
			w.server = w.design(w.TB, setup{}, w.log)
			continue
		}
		w.untilGone()
	}
	w.wantStored(slices.Repeat([]string{"1"}, stored)...)
}

// retriedOnLiveConnection: DUP without a reconnect is no reason to believe that it was there before.
func retriedOnLiveConnection(w *world) {
	w.start(setup{})
	c := w.join(4, hello{id: "meter"})
	for i := range 3 {
		c.publish(pulse(7, i > 0))
		c.expectAck(packets.Puback, 7)
	}
	w.wantStored("1", "1", "1")
}

// anotherPayload: what was sent again is compared with what it was.
func anotherPayload(w *world) {
	w.start(setup{})
	c := w.join(4, hello{id: "meter", keep: true})
	w.log.hold()
	c.publish(pulse(7, false))
	w.untilWaiting(1)
	c.close()
	w.untilGone()
	w.log.open()
	c = w.join(4, hello{id: "meter", keep: true})
	for i, m := range []message{
		{topic: "meter/pulse", payload: "2", qos: 1, id: 7, dup: true},
		{topic: "meter/pulses", payload: "1", qos: 1, id: 7, dup: true},
		pulse(8, true), pulse(7, true), pulse(7, true), // one of these is the original
	} {
		c.publish(m)
		if r := c.expect(packets.Puback); r.id != m.id {
			w.Fatalf("publish %d: got %v, want PUBACK %d", i, r, m.id)
		}
	}
	w.wantStored("1", "2", "1", "1", "1")
	w.wantDuplicates(1)
}

// reset ends the connection as a crash of the client does.
func (c *rawClient) reset() {
	tcp, ok := c.conn.(interface{ SetLinger(sec int) error })
	if !ok {
		c.t.Fatalf("cannot reset a %T", c.conn)
	}
	if err := tcp.SetLinger(0); err != nil {
		c.t.Fatal(err)
	}
	c.close()
}

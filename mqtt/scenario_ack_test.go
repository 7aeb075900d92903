package mqtt

import (
	"fmt"
	"strings"

	"github.com/mochi-mqtt/server/v2/packets"
)

// stalledSubscriber: a subscriber that stops reading does not delay one acknowledgement of others.
func stalledSubscriber(w *world) {
	w.start(setup{})
	stalled := w.join(4, hello{id: "stalled"})
	stalled.subscribe(1, "flood/#")
	var publishers []*rawClient
	for i := range 3 {
		publishers = append(publishers, w.join(4, hello{id: fmt.Sprint("pub", i)}))
	}
	payload := strings.Repeat("x", 64<<10) // more than sockets hold: 16 MB in all
	for id := uint16(1); id <= 80; id++ {
		for _, p := range publishers {
			p.publish(message{topic: "flood/a", payload: payload, qos: 1, id: id})
		}
		for _, p := range publishers {
			p.expectAck(packets.Puback, id)
		}
	}
}

// receiveMaximumSubscriber: subscribers that name a Receive Maximum do not delay one acknowledgement of others,
// whether they acknowledge what they get or not; and who does gets everything. The naive design fails each time at
// the latter; acknowledgements stop for everybody once in some ten thousand deliveries, when mochi's recursive read
// lock meets a writer.
func receiveMaximumSubscriber(w *world) {
	w.start(setup{})
	deaf := w.join(5, hello{id: "deaf", receiveMax: 1})
	deaf.subscribe(1, "t/#")
	const window, rounds = 50, 40 // fewer in all than mochi keeps for one client
	narrow := w.acknowledge(3, window*rounds)
	wide := w.acknowledge(1000, window*rounds)
	pub := w.join(4, hello{id: "pub"})
	for range rounds {
		var burst [][]byte
		for id := uint16(1); id <= window; id++ {
			burst = append(burst, pub.publishFrame(message{topic: "t/a", payload: "x", qos: 1, id: id}))
		}
		pub.send(burst...)
		for range window {
			pub.expect(packets.Puback)
		}
	}
	for name, done := range map[string]chan int{"3": narrow, "1000": wide} {
		if got := <-done; got != window*rounds {
			w.Errorf("the subscriber with Receive Maximum %s got %d publishes, want %d", name, got, window*rounds)
		}
	}
}

// acknowledge starts a subscriber that acknowledges what it gets, and tells how many it got when that was all.
func (w *world) acknowledge(receiveMax uint16, all int) chan int {
	w.Helper()
	c := w.join(5, hello{id: fmt.Sprint("acknowledges ", receiveMax), receiveMax: receiveMax})
	c.subscribe(1, "t/#")
	done := make(chan int, 1)
	go func() {
		got := 0
		defer func() { done <- got }()
		for ; got < all; got++ {
			r, err := c.read()
			if err != nil || r.kind != packets.Publish || c.write(encodeFrame(packets.Puback, 0, number(r.id))) != nil {
				return
			}
		}
	}()
	return done
}

// aliasReused: a topic alias that is given to another topic before the commit.
func aliasReused(w *world) {
	w.start(setup{})
	watcher := w.watcher("#")
	pub := w.join(5, hello{id: "pub"})
	w.log.hold()
	pub.publish(message{topic: "a", payload: "1", qos: 1, id: 1, props: [][]byte{propAlias(1)}})
	w.untilWaiting(1)
	pub.publish(message{topic: "b", payload: "2", qos: 1, id: 2, props: [][]byte{propAlias(1)}})
	w.untilWaiting(2)
	w.log.release(1)
	pub.expectAck(packets.Puback, 1)
	pub.publish(message{payload: "3", qos: 1, id: 3, props: [][]byte{propAlias(1)}})
	w.untilWaiting(2)
	w.log.open()
	pub.expectAck(packets.Puback, 2)
	pub.expectAck(packets.Puback, 3)
	for i, topic := range []string{"a", "b", "b"} {
		if got := w.log.events()[i].Subject; got != topic {
			w.Errorf("stored event %d: got topic %q, want %q", i+1, got, topic)
		}
		if r := watcher.expectMessage(fmt.Sprint(i + 1)); r.topic != topic {
			w.Errorf("delivered %v, want topic %q", r, topic)
		}
	}
}

// publisherGone: a publisher that is gone before the commit: its event is stored and routed to local subscribers, and
// its next connection gets no acknowledgement.
func publisherGone(w *world) {
	for _, version := range []byte{4, 5} {
		w.start(setup{})
		watcher := w.watcher("#")
		first := w.join(version, hello{id: "pub", keep: true})
		w.log.hold()
		first.publish(message{topic: "a", payload: "x", qos: 1, id: 1})
		w.untilWaiting(1)
		first.close()
		second := w.join(version, hello{id: "pub", keep: true}) // its CONNACK says that the first is gone
		w.log.open()
		watcher.expectMessage("x")
		second.quiet()
		w.wantStored("x")
		w.nothingElse(watcher)
	}
}

// falseAck: a client that connects again and uses packet id 1 again, while the log is busy with its first packet 1,
// gets an acknowledgement only when the second is durable. The commit that takes 600 ms is one that the test holds.
func falseAck(w *world) {
	for _, version := range []byte{4, 5} {
		w.start(setup{})
		watcher := w.watcher("#")
		first := w.join(version, hello{id: "pub", keep: true})
		w.log.hold()
		first.publish(message{topic: "a", payload: "old", qos: 1, id: 1})
		w.untilWaiting(1)
		first.close()
		second := w.join(version, hello{id: "pub", keep: true})
		second.publish(message{topic: "a", payload: "new", qos: 1, id: 1})
		w.untilWaiting(2)
		w.log.release(1)
		watcher.expectMessage("old")
		second.quiet()
		w.log.open()
		second.expectAck(packets.Puback, 1)
		watcher.expectMessage("new")
		w.wantStored("old", "new")
	}
}

// falseAckOffline: the same, and the first commit ends while the client is away.
func falseAckOffline(w *world) {
	for _, version := range []byte{4, 5} {
		w.start(setup{})
		first := w.join(version, hello{id: "pub", keep: true})
		w.log.hold()
		first.publish(message{topic: "a", payload: "old", qos: 1, id: 1})
		w.untilWaiting(1)
		first.close()
		w.until("the broker sees that the client is gone", func() bool { return w.server.clients() == 0 })
		w.log.open()
		w.untilCommitted(1)
		w.log.hold()
		second := w.dial(version)
		second.send(second.connectFrame(hello{id: "pub", keep: true}),
			second.publishFrame(message{topic: "a", payload: "new", qos: 1, id: 1}))
		second.expect(packets.Connack)
		w.untilWaiting(1)
		second.quiet()
		w.log.open()
		second.expectAck(packets.Puback, 1)
		w.wantStored("old", "new")
	}
}

// exactlyOnce: a QoS 2 publish that is sent again, before and after PUBREC and across a reconnect, is stored once.
func exactlyOnce(w *world) {
	for _, version := range []byte{4, 5} {
		w.start(setup{})
		watcher := w.watcher("#")
		again := message{topic: "a", payload: "x", qos: 2, id: 5, dup: true}
		pub := w.join(version, hello{id: "pub", keep: true})
		w.log.hold()
		pub.publish(message{topic: "a", payload: "x", qos: 2, id: 5})
		w.untilWaiting(1)
		pub.publish(again)
		pub.quiet()
		w.untilWaiting(1)
		w.log.open()
		pub.expectAck(packets.Pubrec, 5)
		pub.expectAck(packets.Pubrec, 5)
		pub.publish(again)
		pub.expectAck(packets.Pubrec, 5)
		pub.close()

		pub = w.join(version, hello{id: "pub", keep: true})
		pub.publish(again)
		pub.expectAck(packets.Pubrec, 5)
		pub.ack(packets.Pubrel, 5)
		pub.expectAck(packets.Pubcomp, 5)
		pub.ack(packets.Pubrel, 5)
		if r := pub.expect(packets.Pubcomp); r.id != 5 {
			w.Errorf("got %v, want PUBCOMP 5 for a PUBREL that is sent again", r)
		}
		pub.publish(message{topic: "a", payload: "y", qos: 2, id: 5})
		pub.expectAck(packets.Pubrec, 5)
		pub.ack(packets.Pubrel, 5)
		pub.expectAck(packets.Pubcomp, 5)
		w.wantStored("x", "y")
		watcher.expectMessage("x")
		watcher.expectMessage("y")
		w.nothingElse(watcher)
	}
}

// exactlyOnceMidCommit: a QoS 2 publish is sent again on the next connection while its first commit is under way.
func exactlyOnceMidCommit(w *world) {
	for _, version := range []byte{4, 5} {
		w.start(setup{})
		watcher := w.watcher("#")
		pub := w.join(version, hello{id: "pub", keep: true})
		w.log.hold()
		pub.publish(message{topic: "a", payload: "x", qos: 2, id: 6})
		w.untilWaiting(1)
		pub.close()
		pub = w.join(version, hello{id: "pub", keep: true})
		pub.publish(message{topic: "a", payload: "x", qos: 2, id: 6, dup: true})
		pub.quiet() // no PUBREC before the commit
		w.log.open()
		pub.expectAck(packets.Pubrec, 6)
		pub.ack(packets.Pubrel, 6)
		pub.expectAck(packets.Pubcomp, 6)
		w.wantStored("x")
		watcher.expectMessage("x")
		w.nothingElse(watcher)
	}
}

package mqtt

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

const patience = 20 * time.Second

// TestResentInOrder: what waited for a client while it was away comes in the order of its publication, all of it,
// also where that is more than the client's write buffer; and so does what was sent and not acknowledged.
func TestResentInOrder(t *testing.T) {
	t.Parallel()
	_, addr := startBroker(t, Options{WriteBuffer: 1, MaxPacketSize: 8 << 10}, newFakeLog(t)) // 16 KiB
	sub := dialRaw(t, addr, 4, patience, nil)
	sub.connect(hello{id: "sub", keep: true})
	sub.subscribe(1, "t/#")
	sub.close()
	pub := dialRaw(t, addr, 4, patience, nil)
	pub.connect(hello{id: "pub"})
	const n = 600
	for i := range n {
		pub.publish(message{topic: "t/a", payload: fmt.Sprintf("%04d %s", i, strings.Repeat("x", 200)), qos: 1, id: 1})
		pub.expectAck(packets.Puback, 1)
	}
	pub.send(pub.subscribeFrame(2, 0, "none")) // waits until all is routed
	pub.expect(packets.Suback)
	for round := range 2 { // nothing is acknowledged in the first
		sub = dialRaw(t, addr, 4, patience, nil)
		if !sub.connect(hello{id: "sub", keep: true}) {
			t.Fatalf("round %d: the session is gone", round)
		}
		for i := range n {
			r := sub.expect(packets.Publish)
			if got := r.payload[:4]; got != fmt.Sprintf("%04d", i) {
				t.Fatalf("round %d: got message %s, want %04d", round, got, i)
			}
			if round == 1 {
				sub.ack(packets.Puback, r.id)
			}
		}
		sub.close()
	}
}

// TestRetainedBurst: a subscriber gets every retained message, also where they are more than its write buffer and
// than mochi queues.
func TestRetainedBurst(t *testing.T) {
	t.Parallel()
	_, addr := startBroker(t, Options{WriteBuffer: 1, MaxPacketSize: 8 << 10}, newFakeLog(t))
	pub := dialRaw(t, addr, 4, patience, nil)
	pub.connect(hello{id: "pub"})
	const n = 1000
	for i := range n {
		pub.publish(message{topic: fmt.Sprint("t/", i), payload: strings.Repeat("x", 200), qos: 1, id: 1, retain: true})
		pub.expectAck(packets.Puback, 1)
	}
	sub := dialRaw(t, addr, 4, patience, nil)
	sub.connect(hello{id: "sub"})
	for round := range 3 {
		sub.send(pub.subscribeFrame(1, 0, "t/#"))
		sub.expect(packets.Suback)
		topics := map[string]bool{}
		for range n {
			topics[sub.expect(packets.Publish).topic] = true
		}
		if len(topics) != n {
			t.Errorf("round %d: got %d retained messages, want %d", round, len(topics), n)
		}
	}
}

// TestKeepAlive: a client is gone after one and a half times its keep-alive, counted from its last packet, a PUBLISH
// included.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	_, addr := startBroker(t, Options{}, newFakeLog(t))
	c := dialRaw(t, addr, 5, patience, nil)
	frame := c.connectFrame(hello{id: "c"})
	frame[11] = 1 // the keep-alive's low byte
	c.send(frame)
	c.expect(packets.Connack)
	start := time.Now()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for id := uint16(1); id <= 5; id++ {
		<-tick.C
		c.publish(message{topic: "t", payload: "x", qos: 1, id: id})
		c.expectAck(packets.Puback, id)
	}
	last := time.Now()
	if r := c.expect(packets.Disconnect); r.reason != packets.ErrKeepAliveTimeout.Code {
		t.Errorf("got %v, want reason 0x8d", r)
	}
	if silent := time.Since(last); silent < 1400*time.Millisecond {
		t.Errorf("disconnected %s after its last packet (%s after the first), want 1.5 s at least", silent, time.Since(start))
	}
}

// TestSessionExpires: an MQTT 5 session ends when its time is over, and not before.
func TestSessionExpires(t *testing.T) {
	t.Parallel()
	b, addr := startBroker(t, Options{}, newFakeLog(t))
	join := func(seconds uint32) bool {
		c := dialRaw(t, addr, 5, patience, nil)
		body := [][]byte{text("MQTT"), {5, 0}, number(0), c.properties(propExpiry(seconds)), text("c")}
		c.send(encodeFrame(packets.Connect, 0, body...))
		present := c.expect(packets.Connack).present
		c.subscribe(1, "t/#")
		c.send(encodeFrame(packets.Disconnect, 0))
		c.expectClosed()
		return present
	}
	if join(1) {
		t.Error("there was a session at first")
	}
	if !join(1) {
		t.Error("the session was over before its time")
	}
	eventually(t, patience, "the session is over", func() bool { return b.subscribers.Load() == 0 })
	if join(1) {
		t.Error("the session was there after its time")
	}
	if n := b.server.Topics.Subscribers("t/a").Subscriptions; len(n) != 1 {
		t.Errorf("got %d subscribers, want the one", len(n))
	}
}

// TestSubscribePacketID: a SUBSCRIBE with the packet id of a delivery in flight to the same client is a SUBSCRIBE.
func TestSubscribePacketID(t *testing.T) {
	t.Parallel()
	_, addr := startBroker(t, Options{}, newFakeLog(t))
	c := dialRaw(t, addr, 5, patience, nil)
	c.connect(hello{id: "c"})
	c.subscribe(1, "cmd")
	pub := dialRaw(t, addr, 4, patience, nil)
	pub.connect(hello{id: "pub"})
	pub.publish(message{topic: "cmd", payload: "go", qos: 1, id: 9})
	pub.expectAck(packets.Puback, 9)
	id := c.expectMessage("go").id
	c.send(c.subscribeFrame(id, 1, "more"))
	if r := c.expect(packets.Suback); r.id != id || r.codes[0] != 1 {
		t.Errorf("got %v, want SUBACK %d with QoS 1", r, id)
	}
	c.send(encodeFrame(packets.Unsubscribe, 2, number(id), c.properties(), text("more")))
	if r := c.expect(packets.Unsuback); r.id != id || r.codes[0] != 0 {
		t.Errorf("got %v, want UNSUBACK %d with success", r, id)
	}
	c.ack(packets.Puback, id)
	c.quiet()
}

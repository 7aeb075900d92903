package mqtt

import (
	"fmt"
	"slices"

	"github.com/mochi-mqtt/server/v2/packets"
)

// retained returns what a new subscriber finds at the topic.
func (w *world) retained(topic string) string {
	w.Helper()
	c := w.join(4, hello{id: "looks " + topic})
	defer c.close()
	c.subscribe(0, topic)
	return c.expect(packets.Publish).payload
}

// retainedBeforeWill: a retained "online" does not overtake the "offline" of the will that follows it, when both wait
// for the commit.
func retainedBeforeWill(w *world) {
	w.start(setup{})
	watcher := w.watcher("#")
	will := &message{topic: "status", payload: "offline", qos: 1, retain: true}
	device := w.join(4, hello{id: "device", will: will})
	w.log.hold()
	device.publish(message{topic: "status", payload: "online", qos: 1, id: 1, retain: true})
	w.untilWaiting(1)
	device.close()
	w.until("the broker sees that the device is gone", func() bool { return w.server.clients() == 1 })
	w.log.open()
	watcher.expectMessage("online")
	watcher.expectMessage("offline")
	w.wantStored("online", "offline")
	if got := w.log.events()[1].Type; got != TypeWill {
		w.Errorf("got type %q of the will, want %q", got, TypeWill)
	}
	if got := w.retained("status"); got != "offline" {
		w.Errorf("got retained %q, want offline: the device is gone", got)
	}
}

// willBeforeRetained: a will's "offline" does not overtake the "online" of the next connection, when both wait for
// the commit.
func willBeforeRetained(w *world) {
	w.start(setup{})
	watcher := w.watcher("#")
	will := &message{topic: "status", payload: "offline", qos: 1, retain: true}
	device := w.join(4, hello{id: "device", will: will})
	w.log.hold()
	device.close()
	device = w.join(4, hello{id: "device", will: will})
	device.publish(message{topic: "status", payload: "online", qos: 1, id: 1, retain: true})
	w.untilWaiting(2)
	w.log.open()
	device.expectAck(packets.Puback, 1)
	watcher.expectMessage("offline")
	watcher.expectMessage("online")
	w.wantStored("offline", "online")
	if got := w.retained("status"); got != "online" {
		w.Errorf("got retained %q, want online: the device is back", got)
	}
}

// retainThenSubscribe: PUBLISH with retain and then SUBSCRIBE on one connection gets the retained copy, once.
func retainThenSubscribe(w *world) {
	w.start(setup{})
	c := w.join(4, hello{id: "c"})
	c.subscribe(0, "marker")
	w.log.hold()
	c.send(c.publishFrame(message{topic: "held", payload: "x", qos: 1, id: 1, retain: true}))
	w.untilWaiting(1)
	c.send(c.subscribeFrame(1, 0, "held"))
	w.log.open()
	c.expectAck(packets.Puback, 1)
	c.expect(packets.Suback)
	if r := c.expectMessage("x"); !r.retain {
		w.Errorf("got %v, want the retained copy", r)
	}
	for i := range 150 {
		qos, topic, payload := byte(i%3), fmt.Sprint("t/", i), fmt.Sprint("value ", i)
		c.send(c.publishFrame(message{topic: topic, payload: payload, qos: qos, id: 2, retain: true}), c.subscribeFrame(3, 0, topic))
		switch qos {
		case 1:
			c.expectAck(packets.Puback, 2)
		case 2:
			c.expectAck(packets.Pubrec, 2)
		}
		c.expect(packets.Suback)
		if r := c.expectMessage(payload); !r.retain || r.topic != topic {
			w.Fatalf("iteration %d: got %v, want the retained copy", i, r)
		}
		if qos == 2 {
			c.ack(packets.Pubrel, 2)
			c.expectAck(packets.Pubcomp, 2)
		}
	}
	w.nothingElse(c)
}

// clientOrder: the events of one client stay in its order, whatever their QoS: in the log, and for a subscriber.
func clientOrder(w *world) {
	w.start(setup{})
	sub := w.join(4, hello{id: "sub"})
	sub.subscribe(1, "t/#")
	const clients, bursts, burst = 3, 20, 30
	for i := range clients {
		c := w.join(4, hello{id: fmt.Sprint("pub", i)})
		go publishBursts(c, fmt.Sprint(i), bursts, burst)
	}
	want := map[string][]string{}
	for i := range clients {
		for n := range bursts * burst {
			want[fmt.Sprint(i)] = append(want[fmt.Sprint(i)], fmt.Sprint(n))
		}
	}
	delivered := map[string][]string{}
	for range clients * bursts * burst {
		r := sub.expect(packets.Publish)
		delivered[r.topic[2:]] = append(delivered[r.topic[2:]], r.payload)
		if r.qos == 1 {
			sub.ack(packets.Puback, r.id)
		}
	}
	stored := map[string][]string{}
	for _, e := range w.log.events() {
		stored[e.Subject[2:]] = append(stored[e.Subject[2:]], string(e.Data))
	}
	for client, list := range want {
		if !slices.Equal(stored[client], list) {
			w.Errorf("client %s: got stored %v, want 0 to %d in order", client, stored[client], len(list)-1)
		}
		if !slices.Equal(delivered[client], list) {
			w.Errorf("client %s: got delivered %v, want 0 to %d in order", client, delivered[client], len(list)-1)
		}
	}
}

// publishBursts publishes numbers with QoS 0, 1 and 2 in turn; after each burst it answers what came. It ends early
// when the connection does.
func publishBursts(c *rawClient, name string, bursts, burst int) {
	for b := range bursts {
		var frames [][]byte
		open := map[uint16]bool{}
		for i := range burst {
			m := message{topic: "t/" + name, payload: fmt.Sprint(b*burst + i), qos: byte(i % 3), id: uint16(i + 1)}
			frames = append(frames, c.publishFrame(m))
			if m.qos > 0 {
				open[m.id] = true
			}
		}
		if c.write(frames...) != nil {
			return
		}
		for len(open) > 0 {
			r, err := c.read()
			if err != nil {
				return
			}
			if r.kind == packets.Pubrec {
				if c.write(encodeFrame(packets.Pubrel, 2, number(r.id))) != nil {
					return
				}
				continue
			}
			delete(open, r.id)
		}
	}
}

// beforeConnack: a PUBLISH in the same segment as CONNECT is answered after CONNACK, and only if that lets it in.
func beforeConnack(w *world) {
	for _, version := range []byte{3, 4, 5} {
		w.start(setup{users: map[string]string{"user": "secret"}})
		c := w.dial(version)
		c.send(c.connectFrame(hello{id: "c", user: "user", password: "secret"}),
			c.publishFrame(message{topic: "a", payload: "x", qos: 1, id: 1}),
			c.publishFrame(message{topic: "a", payload: "y", qos: 2, id: 2}),
			c.publishFrame(message{topic: "a", payload: "z"}))
		if r := c.expect(packets.Connack); r.reason != 0 {
			w.Fatalf("got %v, want a connection", r)
		}
		c.expectAck(packets.Puback, 1)
		c.expectAck(packets.Pubrec, 2)
		w.wantStored("x", "y", "z")

		c = w.dial(version)
		c.send(c.connectFrame(hello{id: "d", user: "user", password: "wrong"}),
			c.publishFrame(message{topic: "a", payload: "never", qos: 1, id: 1}))
		if r := c.expect(packets.Connack); r.reason == 0 {
			w.Errorf("got %v with a wrong password, want a refusal", r)
		}
		if rest := c.expectClosed(); len(rest) > 0 {
			w.Errorf("got %v after the refusal, want nothing", rest)
		}
		w.wantStored("x", "y", "z")
	}
}

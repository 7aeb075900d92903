package mqtt

import "github.com/mochi-mqtt/server/v2/packets"

// ownPacketID: a device's own packet id does not eat the command with the same id on its way to it.
func ownPacketID(w *world) {
	for _, version := range []byte{4, 5} {
		w.start(setup{})
		device := w.join(version, hello{id: "device", keep: true})
		device.subscribe(1, "command")
		center := w.join(4, hello{id: "center"})
		center.publish(message{topic: "command", payload: "open the valve", qos: 1, id: 1})
		center.expectAck(packets.Puback, 1)
		command := device.expectMessage("open the valve")
		device.publish(message{topic: "state", payload: "closed", qos: 1, id: command.id})
		device.expectAck(packets.Puback, command.id)
		device.close()

		device = w.dial(version)
		if !device.connect(hello{id: "device", keep: true}) {
			w.Errorf("MQTT %d: got no session, want the one before", version)
		}
		if r := device.expectMessage("open the valve"); !r.dup || r.id != command.id {
			w.Errorf("MQTT %d: got %v, want packet %d again", version, r, command.id)
		}
		device.ack(packets.Puback, command.id)
		device.quiet()
		device.close()
		device = w.join(version, hello{id: "device", keep: true})
		device.quiet() // it was acknowledged
	}
}

// takeover: a second connection takes the session from the first, whose publish is not yet durable.
func takeover(w *world) {
	for _, version := range []byte{4, 5} {
		w.start(setup{})
		first := w.join(version, hello{id: "dev", keep: true})
		first.subscribe(1, "a")
		w.log.hold()
		first.publish(message{topic: "a", payload: "x", qos: 1, id: 9})
		w.untilWaiting(1)
		second := w.dial(version)
		if !second.connect(hello{id: "dev", keep: true}) {
			w.Errorf("MQTT %d: got no session, want the one before", version)
		}
		last := first.expectClosed()
		if version == 5 && (len(last) != 1 || last[0].kind != packets.Disconnect || last[0].reason != packets.ErrSessionTakenOver.Code) {
			w.Errorf("got %v, want DISCONNECT 0x8e", last)
		}
		if version == 4 && len(last) != 0 {
			w.Errorf("got %v, want nothing before the end", last)
		}
		w.log.open()
		r := second.expectMessage("x") // the subscription is the session's
		second.ack(packets.Puback, r.id)
		second.quiet() // no acknowledgement of the first one's packet 9
		w.wantStored("x")
	}
}

// takeoverStorm: of many connections with one client id that come at once, each ends or is the client, and the last
// one works.
func takeoverStorm(w *world) {
	w.start(setup{})
	w.join(5, hello{id: "dev", keep: true}).subscribe(1, "a")
	const many = 12
	served, ended := make(chan bool, many), make(chan bool, many) // each connection sends one to each
	for range many {
		c := w.dial(5)
		go c.storm(served, ended)
	}
	for range many {
		<-served
	}
	for range many - 1 { // the one that is left waits in its read
		<-ended
	}
	last := w.dial(5)
	if !last.connect(hello{id: "dev", keep: true}) {
		w.Errorf("got no session, want the one before")
	}
	<-ended
	last.publish(message{topic: "a", payload: "here", qos: 1, id: 2})
	last.expectAck(packets.Puback, 2)
	last.expectMessage("here")
}

// storm connects, publishes and reads until the end. It tells when it was answered (or not), and when it ended.
func (c *rawClient) storm(served, ended chan<- bool) {
	answered := false
	defer func() {
		if !answered {
			served <- false
		}
		ended <- true
	}()
	if c.write(c.connectFrame(hello{id: "dev", keep: true}), c.publishFrame(message{topic: "b", payload: "x", qos: 1, id: 1})) != nil {
		return
	}
	for {
		r, err := c.read()
		if err != nil {
			return
		}
		if !answered && r.kind != packets.Connack {
			c.t.Errorf("got %v before CONNACK", r)
		}
		if !answered {
			answered = true
			served <- true
		}
	}
}

package mqtt

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// truncatedPackets: a SUBSCRIBE that is cut off inside, as any other packet of rubbish, costs its sender the
// connection, and nobody else anything.
func truncatedPackets(w *world) {
	w.start(setup{panics: true})
	bystander := w.join(4, hello{id: "bystander"})
	sample := w.dial(5)
	will := &message{topic: "w", payload: "bye", qos: 1, props: [][]byte{propExpiry(1)}}
	bodies := []received{
		{kind: packets.Subscribe, flags: 2, body: slices.Concat(number(1), sample.properties([]byte{0x0b, 1}), text("a/b"), []byte{1})},
		{kind: packets.Unsubscribe, flags: 2, body: slices.Concat(number(1), sample.properties(), text("a/b"))},
		{kind: packets.Publish, flags: 2, body: slices.Concat(text("a"), number(1), sample.properties(propAlias(1)), []byte("x"))},
		{kind: packets.Puback, body: slices.Concat(number(1), []byte{0}, sample.properties())},
		{kind: packets.Disconnect, body: slices.Concat([]byte{0}, sample.properties(propExpiry(1)))},
		{kind: packets.Auth, body: slices.Concat([]byte{0}, sample.properties())},
		{kind: packets.Connect, body: sample.connectFrame(hello{id: "x", keep: true, will: will, user: "u", password: "p"})[2:]},
	}
	id := uint16(0)
	for _, b := range bodies {
		for cut := range len(b.body) {
			c := w.dial(5)
			if b.kind != packets.Connect {
				c.connect(hello{id: "rubbish"})
			}
			c.send(encodeFrame(b.kind, b.flags, b.body[:cut]))
			valid := b.kind == packets.Publish && cut >= 8 || b.kind == packets.Puback && cut >= 2 // what is cut off is optional
			if !valid {
				c.closesOver(fmt.Sprintf("%s cut off after %d of %d bytes", packets.PacketNames[b.kind], cut, len(b.body)))
			}
			c.close()
			id++
			bystander.publish(message{topic: "t", payload: "x", qos: 1, id: id})
			bystander.expectAck(packets.Puback, id)
		}
	}
}

// closesOver is expectClosed for one of many.
func (c *rawClient) closesOver(what string) {
	c.t.Helper()
	for {
		if r, err := c.read(); errors.Is(err, os.ErrDeadlineExceeded) {
			c.t.Errorf("%s: the connection is still open", what)
		} else if err == nil && r.kind != packets.Disconnect && r.kind != packets.Connack {
			c.t.Errorf("%s: got %v, want the end of the connection", what, r)
		} else if err == nil {
			continue
		}
		return
	}
}

// delayedWill: the will of a session that goes on waits for its delay. It is cancelled if the client is back by then,
// else it is an event like any other. A session that ends takes its will along at once.
func delayedWill(w *world) {
	w.start(setup{})
	watcher := w.watcher("#")
	will := func(payload string) *message { return &message{topic: "status", payload: payload, qos: 1} }
	back := w.join(5, hello{id: "back", keep: true, will: will("never"), willDelay: 1})
	back.close()
	back = w.join(5, hello{id: "back", keep: true, will: will("never"), willDelay: 1})
	gone := w.join(5, hello{id: "gone", keep: true, will: will("gone"), willDelay: 1})
	gone.close()
	short := w.join(5, hello{id: "short", will: will("at once"), willDelay: 60})
	short.close()
	polite := w.join(5, hello{id: "polite", keep: true, will: will("polite"), willDelay: 1})
	polite.send(encodeFrame(packets.Disconnect, 0))
	polite.expectClosed()
	angry := w.join(5, hello{id: "angry", keep: true, will: will("angry")})
	angry.send(encodeFrame(packets.Disconnect, 0, []byte{4, 0})) // "disconnect with will message"
	angry.expectClosed()

	w.until("two wills are durable", func() bool { return len(w.log.events()) == 2 })
	got := []string{watcher.expect(packets.Publish).payload, watcher.expect(packets.Publish).payload}
	slices.Sort(got)
	if want := []string{"angry", "at once"}; !slices.Equal(got, want) {
		w.Errorf("got wills %q at first, want %q", got, want)
	}
	watcher.expectMessage("gone") // "never" would have been due before
	back.quiet()
	for _, e := range w.log.events() {
		if e.Type != TypeWill {
			w.Errorf("got stored %s %q, want wills only", e.Type, e.Data)
		}
	}
	if got := len(w.log.events()); got != 3 {
		w.Errorf("got %q stored, want 3 wills", w.log.payloads())
	}
	w.nothingElse(watcher)
}

// oldClient: MQTT 3.1 (MQIsdp) is spoken, all of it.
func oldClient(w *world) {
	w.start(setup{})
	c, pub := w.join(3, hello{id: "old", keep: true}), w.join(3, hello{id: "pub"})
	c.subscribe(1, "t/#")
	for qos := byte(0); qos <= 2; qos++ {
		pub.publish(message{topic: "t/a", payload: fmt.Sprint(qos), qos: qos, id: 7, retain: true})
		if qos > 0 {
			pub.finish(qos, 7)
		}
		if r := c.expectMessage(fmt.Sprint(qos)); r.qos == 1 {
			c.ack(packets.Puback, r.id)
		}
	}
	c.send(encodeFrame(packets.Unsubscribe, 2, number(9), text("t/#")))
	if r := c.expect(packets.Unsuback); r.id != 9 {
		w.Errorf("got %v, want UNSUBACK 9", r)
	}
	c.quiet()
	w.wantStored("0", "1", "2")
	c.send(encodeFrame(packets.Disconnect, 0))
	if rest := c.expectClosed(); len(rest) > 0 {
		w.Errorf("got %v after DISCONNECT, want nothing", rest)
	}
}

// accessRules: what the rules refuse is not stored, not delivered and not acknowledged as if it were; the topic that
// counts is the one behind an alias.
func accessRules(w *world) {
	rules := setup{rules: []Rule{{"*", AccessWrite, "in/%c/#"}, {"*", AccessRead, "out/#"}, {"center", AccessReadWrite, "#"}},
		users: map[string]string{"center": "secret", "dev": "secret"}}
	for _, version := range []byte{4, 5} {
		w.start(rules)
		center := w.join(version, hello{id: "center", user: "center", password: "secret"})
		center.subscribe(0, "#")
		for qos := byte(0); qos <= 2; qos++ {
			c := w.join(version, hello{id: "d1", user: "dev", password: "secret"})
			c.publish(message{topic: "in/d1/a", payload: "fine", qos: qos, id: 1})
			if qos > 0 {
				c.finish(qos, 1)
			}
			center.expectMessage("fine")
			c.publish(message{topic: "in/d2/a", payload: "forged", qos: qos, id: 2})
			c.wantRefused(qos, 2)
		}
		c := w.join(version, hello{id: "d1", user: "dev", password: "secret"})
		c.send(c.subscribeFrame(5, 0, "out/a", "in/d1/a", "#", "$share/g/in/#"))
		refused := byte(0x80)
		if version == 5 {
			refused = packets.ErrNotAuthorized.Code
		}
		if r := c.expect(packets.Suback); !slices.Equal(r.codes, []byte{0, refused, refused, refused}) {
			w.Errorf("MQTT %d: got %v, want 0 and three times %#x", version, r, refused)
		}
		center.publish(message{topic: "out/a", payload: "for all"})
		center.expectMessage("for all")
		c.expectMessage("for all")
		w.wantStored("fine", "fine", "fine", "for all")
		bad := w.dial(version)
		bad.send(bad.connectFrame(hello{id: "d1", user: "dev", password: "secret", will: &message{topic: "in/d2/a", payload: "forged"}}))
		if r := bad.expect(packets.Connack); r.reason == 0 {
			w.Errorf("MQTT %d: a will that may not be published was let in", version)
		}
		c.quiet() // and did not cost the real one its session
	}
	w.start(rules)
	c := w.join(5, hello{id: "d1", user: "dev", password: "secret"})
	c.publish(message{topic: "in/d1/a", payload: "1", qos: 1, id: 1, props: [][]byte{propAlias(1)}})
	c.expectAck(packets.Puback, 1)
	c.publish(message{payload: "2", qos: 1, id: 2, props: [][]byte{propAlias(1)}})
	c.expectAck(packets.Puback, 2)
	c.publish(message{topic: "in/d2/a", payload: "forged", qos: 1, id: 3, props: [][]byte{propAlias(1)}})
	c.wantRefused(1, 3)
	c.publish(message{payload: "forged", qos: 1, id: 4, props: [][]byte{propAlias(1)}})
	c.wantRefused(1, 4)
	w.wantStored("1", "2")
}

// wantRefused reads the answer to a publish that is not allowed: before MQTT 5 that is the end of the connection.
func (c *rawClient) wantRefused(qos byte, id uint16) {
	c.t.Helper()
	switch {
	case qos == 0:
		c.quiet()
	case c.version < 5:
		if rest := c.expectClosed(); len(rest) > 0 {
			c.t.Errorf("got %v for a refused QoS %d publish, want the end of the connection", rest, qos)
		}
	default:
		kind := packets.Puback
		if qos == 2 {
			kind = packets.Pubrec
		}
		if r := c.expect(kind); r.id != id || r.reason != packets.ErrNotAuthorized.Code {
			c.t.Errorf("got %v, want reason 0x87 for packet %d", r, id)
		}
	}
}

// wrongConnect: a CONNECT that is wrong is refused in the words of its version, and never a session.
func wrongConnect(w *world) {
	w.start(setup{connectTimeout: 300 * time.Millisecond})
	v4 := w.dial(4)
	connect := func(parts ...[]byte) []byte { return encodeFrame(packets.Connect, 0, parts...) }
	good4 := func(id string) []byte { return v4.connectFrame(hello{id: id}) }
	for name, c := range map[string]struct {
		version byte
		frames  [][]byte
		connack int // -1: the connection ends without one
	}{
		"protocol name":           {4, [][]byte{connect(text("MQQT"), []byte{4, 2}, number(0), text("c"))}, -1},
		"version 6":               {5, [][]byte{connect(text("MQTT"), []byte{6, 2}, number(0), []byte{0}, text("c"))}, 1},
		"version 2":               {4, [][]byte{connect(text("MQTT"), []byte{2, 2}, number(0), text("c"))}, 1},
		"reserved flag":           {4, [][]byte{connect(text("MQTT"), []byte{4, 3}, number(0), text("c"))}, -1},
		"will QoS 3":              {4, [][]byte{connect(text("MQTT"), []byte{4, 0x1e}, number(0), text("c"), text("t"), text("p"))}, -1},
		"password without a user": {4, [][]byte{connect(text("MQTT"), []byte{4, 0x42}, number(0), text("c"), text("p"))}, -1},
		"no id and no clean":      {4, [][]byte{connect(text("MQTT"), []byte{4, 0}, number(0), text(""))}, 2},
		"flags of the frame":      {4, [][]byte{append([]byte{packets.Connect<<4 | 1}, good4("c")[1:]...)}, -1},
		"cut off":                 {4, [][]byte{encodeFrame(packets.Connect, 0, good4("c")[2:8])}, -1},
		"not a CONNECT":           {4, [][]byte{v4.publishFrame(message{topic: "a", payload: "x", qos: 1, id: 1})}, -1},
		"HTTP":                    {4, [][]byte{[]byte("GET / HTTP/1.1\r\nHost: gateway\r\n\r\n")}, -1},
		"a length of 256 MB":      {4, [][]byte{{packets.Connect << 4, 0xff, 0xff, 0xff, 0x7f, 0, 4}}, -1},
		"nothing":                 {4, nil, -1},
		"only its beginning":      {4, [][]byte{good4("c")[:5]}, -1},
		"wildcard in the will":    {4, [][]byte{v4.connectFrame(hello{id: "c", will: &message{topic: "a/#", payload: "x"}})}, 5},
	} {
		client := w.dial(c.version)
		client.send(c.frames...)
		rest := client.expectClosed()
		switch {
		case c.connack < 0 && len(rest) > 0:
			w.Errorf("%s: got %v, want the end of the connection", name, rest)
		case c.connack >= 0 && (len(rest) != 1 || rest[0].kind != packets.Connack || rest[0].reason == 0):
			w.Errorf("%s: got %v, want CONNACK with a reason", name, rest)
		case c.version == 4 && c.connack >= 0 && rest[0].reason != byte(c.connack):
			w.Errorf("%s: got %v, want reason %d", name, rest, c.connack)
		}
	}
	second := w.join(4, hello{id: "second"})
	second.send(good4("second"))
	if rest := second.expectClosed(); len(rest) > 0 {
		w.Errorf("a second CONNECT: got %v, want the end of the connection", rest)
	}
	v5 := w.join(5, hello{id: "second v5"})
	v5.send(v5.connectFrame(hello{id: "second v5"}))
	if rest := v5.expectClosed(); len(rest) != 1 || rest[0].reason != packets.ErrProtocolViolation.Code {
		w.Errorf("a second CONNECT: got %v, want DISCONNECT 0x82", rest)
	}
	if got := w.log.payloads(); len(got) > 0 {
		w.Errorf("got %q stored, want nothing", got)
	}
}

// secureListener: a TLS listener serves, asks for a client certificate where it should, and survives who speaks
// something else.
func secureListener(w *world) {
	ca := newTestCA(w.TB)
	cert, key := ca.valid("server")
	own, err := tls.LoadX509KeyPair(ca.valid("client"))
	if err != nil {
		w.Fatal(err)
	}
	for _, clientCA := range []string{"", ca.file} {
		cfg, err := ServerTLS(cert, key, clientCA)
		if err != nil {
			w.Fatal(err)
		}
		w.start(setup{tls: cfg, connectTimeout: time.Second})
		plain := w.dial(4)
		plain.send(plain.connectFrame(hello{id: "plain"}))
		plain.expectClosed()
		if clientCA != "" {
			stranger := dialRaw(w.TB, w.server.addr, 4, w.patience, &tls.Config{RootCAs: ca.pool(), ServerName: "127.0.0.1"})
			if stranger.write(stranger.connectFrame(hello{id: "stranger"})) == nil {
				if rest := stranger.expectClosed(); len(rest) > 0 {
					w.Errorf("without a client certificate: got %v, want the end of the connection", rest)
				}
			}
		}
		secure := &tls.Config{RootCAs: ca.pool(), ServerName: "127.0.0.1", Certificates: []tls.Certificate{own}}
		c := dialRaw(w.TB, w.server.addr, 5, w.patience, secure)
		c.send(c.connectFrame(hello{id: "c"}), c.publishFrame(message{topic: "a", payload: "first", qos: 1, id: 1}))
		c.expect(packets.Connack)
		c.expectAck(packets.Puback, 1)
		c.subscribe(1, "#")
		for i := range 50 {
			c.publish(message{topic: "a", payload: fmt.Sprint(i), qos: 2, id: 2})
			c.expectAck(packets.Pubrec, 2)
			r := c.expectMessage(fmt.Sprint(i))
			c.send(encodeFrame(packets.Puback, 0, number(r.id)), encodeFrame(packets.Pubrel, 2, number(2)))
			c.expectAck(packets.Pubcomp, 2)
		}
	}
}

package mqtt

import (
	"context"
	"crypto/tls"
	"fmt"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"gateway"
)

// retryWorld is a broker on a log, and how to get another life on the same log.
func retryWorld(t *testing.T, s setup) *world {
	w := &world{TB: t, design: startOurs, patience: 20 * time.Second}
	w.start(s)
	return w
}

// sendAgain publishes m on a first connection that the log keeps waiting, and again with DUP on a second one.
func (w *world) sendAgain(version byte, first, second hello, m message) {
	w.Helper()
	w.log.hold()
	c := w.join(version, first)
	c.publish(m)
	w.untilWaiting(1)
	c.close()
	w.untilGone()
	w.log.open()
	m.dup = true
	c = w.join(version, second)
	c.publish(m)
	c.expectAck(packets.Puback, m.id)
}

// TestTailBelongsToUser: another user with the same client id is another client.
func TestTailBelongsToUser(t *testing.T) {
	t.Parallel()
	w := retryWorld(t, setup{users: map[string]string{"a": "1", "b": "2"}})
	w.sendAgain(4, hello{id: "meter", user: "a", password: "1"}, hello{id: "meter", user: "b", password: "2"}, pulse(7, false))
	w.wantStored("1", "1")
	w.wantDuplicates(0)
}

// TestTailIsWhatTheLogHas: a topic outside capture is answered each time, and nothing of it is stored.
func TestTailIsWhatTheLogHas(t *testing.T) {
	t.Parallel()
	log := newFakeLog(t)
	b, addr := startBroker(t, Options{Capture: Capture{Exclude: []string{"chatter"}}}, log)
	for i := range 2 {
		c := dialRaw(t, addr, 4, 20*time.Second, nil)
		c.connect(hello{id: "meter"})
		c.publish(message{topic: "chatter", payload: "1", qos: 1, id: 7, dup: i > 0})
		c.expectAck(packets.Puback, 7)
		c.close()
	}
	if s := b.Status(); s.Unlogged != 2 || s.Duplicates != 0 || len(log.events()) != 0 {
		t.Errorf("got %d unlogged, %d known and %d stored, want 2, 0 and 0", s.Unlogged, s.Duplicates, len(log.events()))
	}
}

// TestStrangeDUPEndsTheDoubt: a client that sends with DUP what was never there, as one does that gives new packet ids to
// what it sends again, is not believed that the next is what was there. What was never acknowledged is, as often as it was.
func TestStrangeDUPEndsTheDoubt(t *testing.T) {
	t.Parallel()
	w := retryWorld(t, setup{})
	c := w.join(4, hello{id: "meter"})
	for id := range uint16(2) {
		c.publish(pulse(id+1, false))
		c.expectAck(packets.Puback, id+1)
	}
	w.server = w.design(w.TB, setup{}, w.log)
	c = w.join(4, hello{id: "meter"})
	for id := range uint16(2) { // the third and fourth pulse
		c.publish(pulse(id+1, true))
		c.expectAck(packets.Puback, id+1)
	}
	w.wantStored("1", "1", "1", "1")
	w.log.hold()
	c.publish(pulse(3, false))
	w.untilWaiting(1)
	c.close()
	w.untilGone()
	w.log.open()
	c = w.join(4, hello{id: "meter"})
	for id := range uint16(3) {
		c.publish(pulse(id+1, true))
		c.expectAck(packets.Puback, id+1)
	}
	w.wantStored("1", "1", "1", "1", "1", "1", "1")
	w.wantDuplicates(1)
}

// TestCloudEventSentAgainAfterCrash: what a device's own event was is read back from the log; two events with the same
// data are told apart by their IDs.
func TestCloudEventSentAgainAfterCrash(t *testing.T) {
	t.Parallel()
	structured := func(id uint16, dup bool) message {
		payload := fmt.Sprintf(`{"specversion":"1.0","id":"e%d","source":"/meter","type":"pulse","data":{"n": 1}}`, id)
		return message{topic: "meter/pulse", payload: payload, qos: 1, id: id, dup: dup, props: [][]byte{append([]byte{3}, text(gateway.ContentTypeCloudEventsJSON)...)}}
	}
	binary := func(id uint16, dup bool) message {
		var props [][]byte
		for name, value := range map[string]string{"specversion": "1.0", "id": fmt.Sprint("e", id), "source": "/meter", "type": "pulse"} {
			props = append(props, append(append([]byte{0x26}, text(name)...), text(value)...))
		}
		return message{topic: "meter/pulse", payload: "1", qos: 1, id: id, dup: dup, props: props}
	}
	for name, publish := range map[string]func(uint16, bool) message{"structured": structured, "binary": binary} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := retryWorld(t, setup{})
			c := w.join(5, hello{id: "meter", keep: true})
			c.publish(publish(1, false))
			c.expectAck(packets.Puback, 1)
			c.publish(publish(2, false))
			c.expectAck(packets.Puback, 2)
			w.server = w.design(w.TB, setup{}, w.log)
			c = w.join(5, hello{id: "meter", keep: true})
			c.publish(publish(2, true))
			c.expectAck(packets.Puback, 2)
			c.publish(publish(3, true))
			c.expectAck(packets.Puback, 3)
			w.wantDuplicates(1)
			if n := len(w.log.events()); n != 3 {
				t.Errorf("got %d events, want 3", n)
			}
		})
	}
}

// TestSentAgainOverTLS: the PUBACK that was not read was in a record of its own.
func TestSentAgainOverTLS(t *testing.T) {
	t.Parallel()
	ca := newTestCA(t)
	cert, key := ca.valid("server")
	cfg, err := ServerTLS(cert, key, "")
	if err != nil {
		t.Fatal(err)
	}
	client := &tls.Config{RootCAs: ca.pool(), ServerName: "127.0.0.1"}
	w := retryWorld(t, setup{tls: cfg})
	dial := func() *rawClient {
		c := dialRaw(t, w.server.addr, 5, w.patience, client)
		c.connect(hello{id: "meter", keep: true})
		return c
	}
	c := dial()
	c.publish(pulse(1, false))
	c.expectAck(packets.Puback, 1)
	c.publish(pulse(2, false))
	w.until("2 events durable", func() bool { return len(w.log.events()) == 2 })
	c.conn.Close()
	w.untilGone()
	c = dial()
	c.publish(pulse(2, true))
	c.expectAck(packets.Puback, 2)
	w.wantStored("1", "1")
	w.wantDuplicates(1)
}

// TestLogIsReadOnceForTails: not at the start, and not for every device that sends again.
func TestLogIsReadOnceForTails(t *testing.T) {
	t.Parallel()
	w := retryWorld(t, setup{})
	for i := range 5 {
		c := w.join(4, hello{id: fmt.Sprint("meter-", i)})
		if n := w.log.readings(); n > min(i, 1) {
			t.Fatalf("connection %d: the log was read %d times before DUP", i, n)
		}
		c.publish(pulse(1, true))
		c.expectAck(packets.Puback, 1)
	}
	if n := w.log.readings(); n != 1 {
		t.Errorf("got %d readings, want 1", n)
	}
}

// TestTailsAreBounded: neither a client with much in flight nor many clients take more than the bound.
func TestTailsAreBounded(t *testing.T) {
	t.Parallel()
	r := newRetries()
	for i := range owedAll {
		r.put(&tail{client: fmt.Sprint(i), list: make([]kept, 4)})
	}
	if r.cost > owedAll || len(r.tails) != owedAll/(tailCost+4) || r.order.Len() != len(r.tails) {
		t.Errorf("got %d tails of cost %d, want at most %d", len(r.tails), r.cost, owedAll)
	}
	if r.take(fmt.Sprint(owedAll-1)) == nil || r.take("0") != nil {
		t.Error("got not the newest tails")
	}
	w := retryWorld(t, setup{})
	w.log.hold()
	c := w.join(4, hello{id: "meter", keep: true})
	const many = 3 * owedEach
	for i := range many {
		c.publish(pulse(uint16(i+1), false))
	}
	w.untilWaiting(many)
	c.close()
	w.untilGone()
	w.log.open()
	c = w.join(4, hello{id: "meter", keep: true})
	for i := range many {
		c.publish(pulse(uint16(i+1), true))
		c.expectAck(packets.Puback, uint16(i+1))
	}
	w.wantDuplicates(owedEach)
	if n := len(w.log.events()); n != 2*many-owedEach {
		t.Errorf("got %d events, want %d", n, 2*many-owedEach)
	}
}

// TestUnreadableLogStoresAgain: what cannot be compared is stored.
func TestUnreadableLogStoresAgain(t *testing.T) {
	t.Parallel()
	log := newFakeLog(t)
	b, addr := startBroker(t, Options{}, unreadableLog{log})
	c := dialRaw(t, addr, 4, 20*time.Second, nil)
	c.connect(hello{id: "meter"})
	c.publish(pulse(1, true))
	c.expectAck(packets.Puback, 1)
	if s := b.Status(); s.Stored != 1 || s.Duplicates != 0 {
		t.Errorf("got %d stored and %d known, want 1 and 0", s.Stored, s.Duplicates)
	}
}

type unreadableLog struct{ *fakeLog }

func (unreadableLog) Recent(func(*gateway.Entry, uint32) error) error {
	return context.DeadlineExceeded
}

// TestPacketIDsTell: which clients' packet ids tell their publishes apart.
func TestPacketIDsTell(t *testing.T) {
	t.Parallel()
	type sent struct {
		id  uint16
		dup bool
	}
	const join = 0
	for name, c := range map[string]struct {
		sent []sent // id 0: another connection
		want bool
	}{
		"nothing known":           {nil, true},
		"one":                     {[]sent{{1, false}}, true},
		"counts":                  {[]sent{{1, false}, {2, false}, {join, false}, {3, false}}, true},
		"wraps":                   {[]sent{{65535, false}, {1, false}}, true},
		"last again":              {[]sent{{1, false}, {2, false}, {join, false}, {2, true}, {3, false}}, true},
		"older again":             {[]sent{{1, false}, {9, false}, {join, false}, {2, true}, {3, true}, {10, false}}, true},
		"the same":                {[]sent{{1, false}, {1, false}}, false},
		"the same, always DUP":    {[]sent{{1, true}, {1, true}}, false},
		"lowest free":             {[]sent{{1, false}, {2, false}, {1, false}}, false},
		"restarts":                {[]sent{{1, false}, {2, false}, {join, false}, {1, false}}, false},
		"restarts with DUP":       {[]sent{{1, false}, {2, false}, {join, false}, {1, true}}, false},
		"restarts with DUP first": {[]sent{{1, false}, {2, false}, {join, false}, {1, true}, {2, false}}, false},
	} {
		var p packetIDs
		for _, s := range c.sent {
			if s.id == join {
				p.join()
				continue
			}
			p.note(s.id, s.dup)
		}
		if got := p.tell(); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

package test

import (
	"net"
	"testing"
	"time"

	vocabulary "gateway"
	"gateway/internal/load/wire"
)

// client is a client of a broker, with a session that is kept.
type client struct {
	name, filter string
	conn         net.Conn
	reader       *wire.Reader
}

// dial connects; the connection ends with the test.
func dial(t *testing.T, addr, name string) *client {
	t.Helper()
	c := &client{name: name}
	c.connect(t, addr)
	return c
}

func (c *client) connect(t *testing.T, addr string) {
	t.Helper()
	conn, _, err := wire.Dial(addr, wire.Options{ClientID: c.name, KeepSession: true}, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c.conn, c.reader = conn, wire.NewReader(conn, 64<<10)
}

// listen subscribes.
func listen(t *testing.T, addr, name, filter string) *client {
	t.Helper()
	c := dial(t, addr, name)
	c.filter = filter
	c.subscribe(t)
	return c
}

func (c *client) subscribe(t *testing.T) {
	t.Helper()
	if _, err := c.conn.Write(wire.AppendSubscribe(nil, 1, c.filter, 1)); err != nil {
		t.Fatal(err)
	}
	if first, _, err := c.reader.Next(); err != nil || first != wire.Suback {
		t.Fatalf("%s: got packet 0x%02x, %v; want a SUBACK", c.name, first, err)
	}
}

// again connects and subscribes once more, at a broker that was started anew.
func (c *client) again(t *testing.T, addr string) {
	t.Helper()
	c.conn.Close()
	c.connect(t, addr)
	c.subscribe(t)
}

// event is the next one that comes, acknowledged.
func (c *client) event(t *testing.T) vocabulary.Event {
	t.Helper()
	if err := c.conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for {
		first, body, err := c.reader.Next()
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if first&0xf0 != wire.Publish {
			continue
		}
		m, err := wire.ParsePublish(first, body)
		if err != nil {
			t.Fatal(err)
		}
		e, err := vocabulary.ParseJSON(append([]byte(nil), m.Payload...))
		if err != nil {
			t.Fatalf("%s got %q: %v", c.name, m.Payload, err)
		}
		if m.QoS > 0 {
			if _, err := c.conn.Write(wire.AppendAck(nil, wire.Puback, m.ID)); err != nil {
				t.Fatal(err)
			}
		}
		return e
	}
}

package gatewaytest

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"gateway/internal/load/wire"
)

// Meter is a device that counts: it publishes "1" for ever, with QoS 1 over MQTT 3.1.1, and after a reconnect sends again what
// was not acknowledged. The zero values of its habits are what the standard asks for. One goroutine at a time uses it.
type Meter struct {
	ClientID string
	Window   int // publishes that may be unacknowledged; 0 is 1

	OneID      bool // every publish has packet id 1
	RestartIDs bool // packet ids begin at 1 with each connection
	NewIDs     bool // what is sent again gets a new packet id
	NoDUP      bool // what is sent again does not say so
	AlwaysDUP  bool // what is sent for the first time says that it is sent again

	// Made and Acked count pulses, Repeated those that were begun to be sent again.
	Made, Acked, Repeated int

	lastID uint16
	flying []flyingPulse
}

type flyingPulse struct {
	id    uint16
	again bool // sent on an earlier connection
}

// Cut says where a connection ends by the meter's doing.
type Cut struct {
	Write, Read int  // after that many bytes written, or read, behind the handshake
	Reset       bool // without an orderly end
}

// NoCut never ends it.
var NoCut = Cut{Write: math.MaxInt, Read: math.MaxInt}

// RandomCut cuts within some ten pulses.
func RandomCut(rng *rand.Rand) Cut {
	c := NoCut
	if rng.IntN(2) == 0 {
		c.Write = rng.IntN(200)
	} else {
		c.Read = rng.IntN(40)
	}
	c.Reset = rng.IntN(4) == 0
	return c
}

var errCut = errors.New("the meter cut its connection")

// Connect makes one connection and sends what is unacknowledged and then new pulses, until that many were made and all are
// acknowledged: then it returns nil. Else it returns why the connection ended.
func (m *Meter) Connect(addr string, pulses int, cut Cut) error {
	conn, _, err := wire.Dial(addr, wire.Options{ClientID: m.ClientID, KeepSession: !m.RestartIDs}, 10*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	if tcp, ok := conn.(*net.TCPConn); ok && cut.Reset {
		if err := tcp.SetLinger(0); err != nil {
			return err
		}
	}
	if m.RestartIDs {
		m.lastID = 0
	}
	for i := range m.flying {
		m.flying[i].again = true
	}
	return m.serve(conn, pulses, &cut)
}

// serve works on one connection: sent of the pulses in flight are on their way on it.
func (m *Meter) serve(conn net.Conn, pulses int, cut *Cut) error {
	sent := 0
	for {
		for sent < len(m.flying) || len(m.flying) < max(m.Window, 1) && m.Made < pulses {
			if sent == len(m.flying) {
				m.flying = append(m.flying, flyingPulse{})
				m.Made++
			}
			if err := cut.write(conn, m.frame(&m.flying[sent])); err != nil {
				return err
			}
			sent++
		}
		if len(m.flying) == 0 {
			return nil
		}
		id, err := cut.ack(conn)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(m.flying[:sent], func(p flyingPulse) bool { return p.id == id })
		if at < 0 {
			return fmt.Errorf("PUBACK %d acknowledges nothing", id)
		}
		m.flying = slices.Delete(m.flying, at, at+1)
		sent--
		m.Acked++
	}
}

func (m *Meter) frame(p *flyingPulse) []byte {
	if p.again {
		m.Repeated++
	}
	if !p.again || m.NewIDs || p.id == 0 {
		m.lastID++
		p.id = max(m.lastID, 1)
	}
	if m.OneID {
		p.id = 1
	}
	return wire.AppendPublish(nil, "meter/pulse", p.id, 1, p.again && !m.NoDUP || m.AlwaysDUP, []byte("1"))
}

func (c *Cut) write(conn net.Conn, p []byte) error {
	n := min(len(p), c.Write)
	if _, err := conn.Write(p[:n]); err != nil {
		return err
	}
	c.Write -= n
	if n < len(p) {
		return errCut
	}
	return nil
}

func (c *Cut) ack(conn net.Conn) (id uint16, err error) {
	var p [4]byte
	n := min(len(p), c.Read)
	if _, err := io.ReadFull(conn, p[:n]); err != nil {
		return 0, err
	}
	c.Read -= n
	if n < len(p) {
		return 0, errCut
	}
	if p[0] != wire.Puback || p[1] != 2 {
		return 0, fmt.Errorf("want PUBACK, got % x", p)
	}
	return wire.ID(p[2:])
}

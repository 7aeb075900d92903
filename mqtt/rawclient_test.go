package mqtt

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// rawClient is an MQTT client that does nothing by itself: the test writes its frames and reads what comes.
type rawClient struct {
	t        testing.TB
	patience time.Duration
	conn     net.Conn
	in       *bufio.Reader
	version  byte // 3 (MQTT 3.1), 4 (3.1.1) or 5
}

// dialRaw opens a connection; with a TLS configuration it makes the handshake.
func dialRaw(t testing.TB, addr string, version byte, patience time.Duration, cfg *tls.Config) *rawClient {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() { conn.Close() })
	if cfg != nil {
		conn = tls.Client(conn, cfg)
	}
	return &rawClient{t: t, patience: patience, conn: conn, in: bufio.NewReader(conn), version: version}
}

// encodeFrame makes a frame of the parts of its body.
func encodeFrame(kind, flags byte, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	return append(binary.AppendUvarint([]byte{kind<<4 | flags}, uint64(len(body))), body...)
}

func text(s string) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...) }

func number(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }

func number32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// properties puts the length before the properties; nil before MQTT 5.
func (c *rawClient) properties(parts ...[]byte) []byte {
	if c.version < 5 {
		return nil
	}
	all := bytes.Join(parts, nil)
	return append(binary.AppendUvarint(nil, uint64(len(all))), all...)
}

// Properties of MQTT 5.0 section 2.2.2.2, as parts.
func propAlias(n uint16) []byte      { return append([]byte{0x23}, number(n)...) }
func propReceiveMax(n uint16) []byte { return append([]byte{0x21}, number(n)...) }
func propExpiry(n uint32) []byte     { return append([]byte{0x11}, number32(n)...) }
func propWillDelay(n uint32) []byte  { return append([]byte{0x18}, number32(n)...) }

// hello is a CONNECT.
type hello struct {
	id             string
	keep           bool // the session outlives the connection
	user, password string
	will           *message
	willDelay      uint32
	receiveMax     uint16
}

// message is a PUBLISH.
type message struct {
	topic, payload string
	id             uint16
	qos            byte
	retain, dup    bool
	props          [][]byte
}

func bit(on bool, value byte) byte {
	if on {
		return value
	}
	return 0
}

func (c *rawClient) connectFrame(h hello) []byte {
	name := "MQTT"
	if c.version == 3 {
		name = "MQIsdp"
	}
	flags := bit(!h.keep, 2) | bit(h.user != "", 0xc0)
	var props [][]byte
	if h.keep {
		props = append(props, propExpiry(3600))
	}
	if h.receiveMax > 0 {
		props = append(props, propReceiveMax(h.receiveMax))
	}
	parts := [][]byte{text(name), {c.version, 0}, number(0), c.properties(props...), text(h.id)}
	if h.will != nil {
		flags |= 4 | h.will.qos<<3 | bit(h.will.retain, 0x20)
		delay := h.will.props
		if h.willDelay > 0 {
			delay = append(delay, propWillDelay(h.willDelay))
		}
		parts = append(parts, c.properties(delay...), text(h.will.topic), text(h.will.payload))
	}
	if h.user != "" {
		parts = append(parts, text(h.user), text(h.password))
	}
	parts[1][1] = flags
	return encodeFrame(packets.Connect, 0, parts...)
}

func (c *rawClient) publishFrame(m message) []byte {
	parts := [][]byte{text(m.topic)}
	if m.qos > 0 {
		parts = append(parts, number(m.id))
	}
	parts = append(parts, c.properties(m.props...), []byte(m.payload))
	return encodeFrame(packets.Publish, bit(m.dup, 8)|m.qos<<1|bit(m.retain, 1), parts...)
}

func (c *rawClient) subscribeFrame(id uint16, qos byte, filters ...string) []byte {
	parts := [][]byte{number(id), c.properties()}
	for _, f := range filters {
		parts = append(parts, text(f), []byte{qos})
	}
	return encodeFrame(packets.Subscribe, 2, parts...)
}

// send writes frames in one segment.
func (c *rawClient) send(frames ...[]byte) {
	c.t.Helper()
	if err := c.write(frames...); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

func (c *rawClient) write(frames ...[]byte) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.patience)); err != nil {
		return err
	}
	_, err := c.conn.Write(bytes.Join(frames, nil))
	return err
}

func (c *rawClient) publish(m message) { c.t.Helper(); c.send(c.publishFrame(m)) }

// ack sends PUBACK, PUBREC, PUBREL or PUBCOMP.
func (c *rawClient) ack(kind byte, id uint16) {
	c.t.Helper()
	c.send(encodeFrame(kind, bit(kind == packets.Pubrel, 2), number(id)))
}

// received is a frame that came.
type received struct {
	kind, flags byte
	body        []byte
	id          uint16 // of acknowledgements and of a PUBLISH
	reason      byte   // the last byte of CONNACK, or the reason of an acknowledgement or DISCONNECT
	present     bool   // session present, of a CONNACK
	codes       []byte // of a SUBACK
	topic       string
	payload     string
	qos         byte
	retain, dup bool
	props       packets.Properties
}

func (r received) String() string {
	name := packets.PacketNames[r.kind]
	switch r.kind {
	case packets.Publish:
		return fmt.Sprintf("%s %s %.40q qos %d id %d retain %v dup %v", name, r.topic, r.payload, r.qos, r.id, r.retain, r.dup)
	case packets.Suback:
		return fmt.Sprintf("%s %d %#x", name, r.id, r.codes)
	}
	return fmt.Sprintf("%s %d reason %#02x", name, r.id, r.reason)
}

// read returns the next frame.
func (c *rawClient) read() (received, error) { return c.readWithin(c.patience) }

func (c *rawClient) readWithin(d time.Duration) (r received, err error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(d)); err != nil {
		return r, err
	}
	first, err := c.in.ReadByte()
	if err != nil {
		return r, err
	}
	length, err := binary.ReadUvarint(c.in)
	if err != nil {
		return r, err
	}
	r.kind, r.flags, r.body = first>>4, first&15, make([]byte, length)
	if _, err := io.ReadFull(c.in, r.body); err != nil {
		return r, err
	}
	return r, c.decode(&r)
}

func (c *rawClient) decode(r *received) error {
	b := bytes.NewBuffer(r.body)
	switch r.kind {
	case packets.Connack:
		r.present, r.reason = b.Next(1)[0]&1 == 1, b.Next(1)[0]
		return c.decodeProperties(r, b)
	case packets.Publish:
		r.qos, r.retain, r.dup = r.flags>>1&3, r.flags&1 == 1, r.flags&8 != 0
		r.topic = string(b.Next(int(binary.BigEndian.Uint16(b.Next(2)))))
		if r.qos > 0 {
			r.id = binary.BigEndian.Uint16(b.Next(2))
		}
		err := c.decodeProperties(r, b)
		r.payload = b.String()
		return err
	case packets.Puback, packets.Pubrec, packets.Pubrel, packets.Pubcomp:
		r.id = binary.BigEndian.Uint16(b.Next(2))
		if b.Len() > 0 {
			r.reason = b.Next(1)[0]
		}
	case packets.Suback, packets.Unsuback:
		r.id = binary.BigEndian.Uint16(b.Next(2))
		err := c.decodeProperties(r, b)
		r.codes = b.Bytes()
		return err
	case packets.Disconnect:
		if b.Len() > 0 {
			r.reason = b.Next(1)[0]
		}
	}
	return nil
}

func (c *rawClient) decodeProperties(r *received, b *bytes.Buffer) error {
	if c.version < 5 {
		return nil
	}
	before := b.Len()
	n, err := r.props.Decode(r.kind, b) // takes the length only from b
	b.Next(n - (before - b.Len()))
	return err
}

// expect reads the next frame, which must be of that kind.
func (c *rawClient) expect(kind byte) received {
	c.t.Helper()
	r, err := c.read()
	if err != nil {
		c.t.Fatalf("waiting for %s: %v", packets.PacketNames[kind], err)
	}
	if r.kind != kind {
		c.t.Fatalf("got %v, want %s", r, packets.PacketNames[kind])
	}
	return r
}

// expectAck reads an acknowledgement of success.
func (c *rawClient) expectAck(kind byte, id uint16) {
	c.t.Helper()
	if r := c.expect(kind); r.id != id || r.reason >= 0x80 {
		c.t.Fatalf("got %v, want %s %d without an error", r, packets.PacketNames[kind], id)
	}
}

// expectMessage reads a PUBLISH with that payload.
func (c *rawClient) expectMessage(payload string) received {
	c.t.Helper()
	r := c.expect(packets.Publish)
	if r.payload != payload {
		c.t.Fatalf("got %v, want the payload %q", r, payload)
	}
	return r
}

// connect makes the session and says whether there was one.
func (c *rawClient) connect(h hello) (present bool) {
	c.t.Helper()
	c.send(c.connectFrame(h))
	r := c.expect(packets.Connack)
	if r.reason != 0 {
		c.t.Fatalf("got %v, want a connection", r)
	}
	return r.present
}

func (c *rawClient) subscribe(qos byte, filters ...string) {
	c.t.Helper()
	c.send(c.subscribeFrame(1, qos, filters...))
	if r := c.expect(packets.Suback); slices.ContainsFunc(r.codes, func(code byte) bool { return code != qos }) {
		c.t.Fatalf("got %v, want a subscription", r)
	}
}

// quiet makes sure that nothing is on its way to the client: everything that was written before the answer to its
// ping would come before that.
func (c *rawClient) quiet() {
	c.t.Helper()
	c.send(encodeFrame(packets.Pingreq, 0))
	c.expect(packets.Pingresp)
}

// expectClosed reads until the connection ends, and returns what came before.
func (c *rawClient) expectClosed() []received {
	c.t.Helper()
	var list []received
	for {
		r, err := c.read()
		if err == nil {
			list = append(list, r)
			continue
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.t.Fatalf("the connection is still open after %v", list)
		}
		return list
	}
}

// close breaks the connection without a DISCONNECT.
func (c *rawClient) close() { c.conn.Close() }

package mqtt

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mochi-mqtt/server/v2/packets"
)

const (
	// never is the session expiry interval of a session that does not expire (MQTT 5.0 section 3.1.2.11.2).
	never = math.MaxUint32
	// connectLimit bounds a CONNECT, whose sender nobody knows yet: room for a will of the largest size.
	connectLimit = 96 << 10
	// maxClientID bounds client ids, which are part of every event's source.
	maxClientID = 512
)

// refusal is why a CONNECT is not accepted. Where the protocol has an answer for it, the client gets that.
type refusal struct {
	code packets.Code
	why  string
}

func (r *refusal) Error() string { return r.why }

// connect takes the client's CONNECT, decides about it, and leaves for mochi in c.pass what mochi shall know of it:
// no password, no will, no Receive Maximum and topic aliases (we keep those), and a session that never expires or
// ends with the connection (the times in between are ours). The caller releases c.s if it is not nil.
func (c *conn) connect() error {
	f, err := c.firstFrame()
	if err != nil {
		return err
	}
	if f.kind != packets.Connect {
		return &refusal{code: packets.ErrProtocolViolationRequireFirstConnect, why: "the first packet is not a CONNECT"}
	}
	version, err := protocol(f.body)
	if err != nil {
		c.answer(version, err)
		return err
	}
	c.v5 = version == 5
	pk, err := decodeConnect(f)
	if err != nil {
		return err
	}
	if err := c.admit(pk); err != nil {
		c.answer(version, err)
		return err
	}
	c.adopt(pk)
	return c.forward(pk)
}

func (c *conn) firstFrame() (frame, error) {
	for {
		need := 0
		if c.ws != nil {
			f, n, ok, err := nextFrame(c.ws.buf[c.ws.r:c.ws.w], min(connectLimit, c.b.o.MaxPacketSize), false)
			if err != nil || ok {
				c.ws.r += len(f.raw)
				return f, err
			}
			if f.kind != packets.Connect && c.ws.r < c.ws.w {
				return f, nil // it need not be complete to be wrong
			}
			need = n
		}
		if err := c.fill(need); err != nil {
			return frame{}, err
		}
	}
}

// protocol returns the protocol version that the body of a CONNECT begins with, and refuses one that we do not speak
// before the rest is looked at, which may be anything then (MQTT 3.1.1 section 3.1.2.2, MQTT 5.0 section 3.1.2.2).
func protocol(body []byte) (version byte, err error) {
	if len(body) < 2 {
		return 0, packets.ErrMalformedProtocolName
	}
	end := 2 + int(binary.BigEndian.Uint16(body))
	if end >= len(body) {
		return 0, packets.ErrMalformedProtocolVersion
	}
	name, version := string(body[2:end]), body[end]
	switch {
	case name != "MQTT" && name != "MQIsdp":
		return version, &refusal{packets.ErrProtocolViolation, "the protocol name is not MQTT"}
	case name == "MQTT" && version != 4 && version != 5, name == "MQIsdp" && version != 3:
		return version, &refusal{packets.ErrUnsupportedProtocolVersion, fmt.Sprintf("protocol version %d is not supported", version)}
	}
	return version, nil
}

// decodeConnect decodes a copy of the packet. The library's decoder may panic on what it did not expect.
func decodeConnect(f frame) (pk *packets.Packet, err error) {
	defer func() {
		if p := recover(); p != nil {
			pk, err = nil, fmt.Errorf("%w: %v", packets.ErrMalformedPacket, p)
		}
	}()
	pk = &packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connect, Remaining: len(f.body)}}
	if err := pk.ConnectDecode(bytes.Clone(f.body)); err != nil {
		return nil, err
	}
	return pk, nil
}

// admit decides whether the client may connect.
func (c *conn) admit(pk *packets.Packet) error {
	if err := checkConnect(pk); err != nil {
		return err
	}
	if c.b.failed.Load() {
		return &refusal{packets.ErrServerUnavailable, "the log has failed: nothing can be kept"}
	}
	id := pk.Connect.ClientIdentifier
	if id == "" {
		id, c.assigned = "auto-"+strings.ToLower(rand.Text()), true
		pk.Connect.ClientIdentifier = id
	}
	user := string(pk.Connect.Username)
	c.user, c.id = user, id
	if !c.b.o.Policy.Authenticate(user, pk.Connect.Password) {
		c.b.stats.authFailures.Add(1)
		return &refusal{packets.ErrBadUsernameOrPassword, "wrong user name or password"}
	}
	if int(c.b.clients.Load()) >= c.b.o.MaxClients && !c.b.sessions.connected(id) {
		return &refusal{packets.ErrServerBusy, fmt.Sprintf("there are %d clients, the most allowed", c.b.o.MaxClients)}
	}
	if pk.Connect.WillFlag {
		if err := c.admitWill(pk); err != nil {
			return err
		}
	}
	return nil
}

// checkConnect refuses what MQTT does not allow (MQTT 5.0 section 3.1).
func checkConnect(pk *packets.Packet) error {
	version := pk.ProtocolVersion
	violation := func(why string) error { return &refusal{packets.ErrProtocolViolation, why} }
	switch {
	case pk.ReservedBit != 0:
		return violation("a reserved flag is set")
	case pk.Connect.WillQos > 2 || !pk.Connect.WillFlag && (pk.Connect.WillQos > 0 || pk.Connect.WillRetain):
		return violation("the flags of the will contradict each other")
	case version < 5 && pk.Connect.PasswordFlag && !pk.Connect.UsernameFlag:
		return violation("there is a password but no user name")
	case version < 5 && pk.Connect.ClientIdentifier == "" && (!pk.Connect.Clean || version == 3):
		return &refusal{packets.ErrClientIdentifierNotValid, "a session that lasts needs a client id"}
	case len(pk.Connect.ClientIdentifier) > maxClientID:
		return &refusal{packets.ErrClientIdentifierNotValid, fmt.Sprintf("the client id has more than %d bytes", maxClientID)}
	case !utf8.Valid(pk.Connect.Username):
		return violation("the user name is not UTF-8")
	case pk.Properties.AuthenticationMethod != "":
		return &refusal{packets.ErrBadAuthenticationMethod, "extended authentication is not supported"}
	}
	return nil
}

func (c *conn) admitWill(pk *packets.Packet) error {
	w := newWill(pk)
	if err := validTopicName([]byte(w.p.topic)); err != nil {
		return &refusal{packets.ErrTopicNameInvalid, "the topic of the will cannot be published to"}
	}
	t := c.decide(w.p.topic)
	if t.refused.Code != 0 {
		return &refusal{t.refused, fmt.Sprintf("the client may not publish its will to %q", w.p.topic)}
	}
	if w.p.props != nil && w.p.props.PayloadFormat > 1 {
		return &refusal{packets.ErrProtocolViolation, "the payload format of the will is neither 0 nor 1"}
	}
	w.captured = t.captured
	c.will = w
	return nil
}

// answer sends the CONNACK of a refusal (MQTT 5.0 section 3.2.2.2, 3.1.1 section 3.2.2.3).
func (c *conn) answer(version byte, err error) {
	var r *refusal
	if !errors.As(err, &r) {
		return
	}
	if version&0x7f >= 5 { // the high bit is how some bridges introduce themselves
		c.send([]byte{packets.Connack << 4, 3, 0, r.code.Code, 0})
		return
	}
	code := map[byte]byte{
		packets.ErrUnsupportedProtocolVersion.Code: 1, packets.ErrClientIdentifierNotValid.Code: 2,
		packets.ErrServerUnavailable.Code: 3, packets.ErrServerBusy.Code: 3,
		packets.ErrBadUsernameOrPassword.Code: 5, packets.ErrNotAuthorized.Code: 5, packets.ErrTopicNameInvalid.Code: 5,
	}[r.code.Code]
	if code > 0 {
		c.send([]byte{packets.Connack << 4, 2, 0, code})
	}
}

// adopt takes over what the CONNECT says about the connection.
func (c *conn) adopt(pk *packets.Packet) {
	c.log = c.log.With("client", c.id)
	c.mapper = newMapper(c.b.o.GatewayID, c.id)
	c.mapper.self.Log = c.b.o.LogID
	if c.will != nil {
		c.will.mapper = c.mapper
	}
	c.keepAlive = time.Duration(pk.Connect.Keepalive) * time.Second
	if c.v5 {
		c.expiry = pk.Properties.SessionExpiryInterval
		c.lasting = c.expiry > 0
	} else {
		c.lasting = !pk.Connect.Clean
		c.expiry = never
	}
	if rm := pk.Properties.ReceiveMaximum; rm > 0 && rm < math.MaxUint16 {
		c.out.flow = newFlow(rm)
	}
}

// forward encodes the CONNECT for mochi and takes over the session.
func (c *conn) forward(pk *packets.Packet) error {
	pk.Connect.Password, pk.Connect.PasswordFlag = nil, false
	pk.Connect.WillFlag, pk.Connect.WillRetain, pk.Connect.WillQos = false, false, 0
	pk.Properties.ReceiveMaximum, pk.Properties.TopicAliasMaximum = 0, 0
	if c.lasting && c.v5 {
		pk.Properties.SessionExpiryInterval = never
	}
	var buf bytes.Buffer
	if err := pk.ConnectEncode(&buf); err != nil {
		return fmt.Errorf("encode CONNECT: %w", err)
	}
	s := c.b.sessions.get(c.id)
	c.in.connectBy = time.Time{}
	if err := s.takeTurn(c.ctx, c, c.b.o.ConnectTimeout); err != nil {
		c.b.sessions.release(s)
		c.answer(pk.ProtocolVersion, &refusal{packets.ErrServerUnavailable, err.Error()})
		return err
	}
	c.s = s
	c.clean = pk.Connect.Clean
	c.out.allow(math.MaxInt / 2) // what waits for the client is sent in one go; see letRoute
	c.pass, c.passHolds, c.resuming = buf.Bytes(), true, true
	return nil
}

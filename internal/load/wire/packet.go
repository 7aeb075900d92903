// Package wire encodes and splits the few MQTT 3.1.1 packets that a measuring client needs, without allocating for
// each of them. It checks little of what a peer sends: it is for tests and load, not for a broker.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Packet types as they stand in the upper half of the first byte (MQTT 3.1.1, section 2.2.1).
const (
	Connect    = 0x10
	Connack    = 0x20
	Publish    = 0x30
	Puback     = 0x40
	Pubrec     = 0x50
	Pubrel     = 0x60
	Pubcomp    = 0x70
	Subscribe  = 0x80
	Suback     = 0x90
	Pingreq    = 0xc0
	Pingresp   = 0xd0
	Disconnect = 0xe0
)

// ErrRefused says that a broker answered CONNECT or SUBSCRIBE with a failure.
var ErrRefused = errors.New("refused by the broker")

// Options are the fields of a CONNECT.
type Options struct {
	ClientID string
	// KeepSession leaves the clean session flag unset.
	KeepSession bool
	// KeepAlive is in seconds; 0 turns it off.
	KeepAlive uint16
	// User and Password are sent where User is not empty.
	User, Password string
}

// AppendConnect appends a CONNECT for MQTT 3.1.1.
func AppendConnect(dst []byte, o Options) []byte {
	size, flags := 10+2+len(o.ClientID), byte(0)
	if !o.KeepSession {
		flags |= 0x02
	}
	if o.User != "" {
		flags |= 0xc0
		size += 4 + len(o.User) + len(o.Password)
	}
	dst = appendLength(append(dst, Connect), size)
	dst = appendString(dst, "MQTT")
	dst = append(dst, 4, flags, byte(o.KeepAlive>>8), byte(o.KeepAlive))
	dst = appendString(dst, o.ClientID)
	if o.User != "" {
		dst = appendString(appendString(dst, o.User), o.Password)
	}
	return dst
}

// AppendPublish appends a PUBLISH; id is left out for QoS 0.
func AppendPublish(dst []byte, topic string, id uint16, qos byte, dup bool, payload []byte) []byte {
	first, size := byte(Publish)|qos<<1, 2+len(topic)+len(payload)
	if dup {
		first |= 0x08
	}
	if qos > 0 {
		size += 2
	}
	dst = appendString(appendLength(append(dst, first), size), topic)
	if qos > 0 {
		dst = binary.BigEndian.AppendUint16(dst, id)
	}
	return append(dst, payload...)
}

// AppendAck appends a PUBACK, PUBREC, PUBREL or PUBCOMP.
func AppendAck(dst []byte, packet byte, id uint16) []byte {
	if packet == Pubrel {
		packet |= 0x02
	}
	return append(dst, packet, 2, byte(id>>8), byte(id))
}

// AppendSubscribe appends a SUBSCRIBE to one filter.
func AppendSubscribe(dst []byte, id uint16, filter string, qos byte) []byte {
	dst = appendLength(append(dst, Subscribe|0x02), 2+2+len(filter)+1)
	dst = binary.BigEndian.AppendUint16(dst, id)
	return append(appendString(dst, filter), qos)
}

// AppendEmpty appends a packet that is only a header: PINGREQ or DISCONNECT.
func AppendEmpty(dst []byte, packet byte) []byte { return append(dst, packet, 0) }

func appendString(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...)
}

func appendLength(dst []byte, n int) []byte {
	for n > 127 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(dst, byte(n))
}

// ID returns the packet id at the start of the body of an acknowledgement.
func ID(body []byte) (uint16, error) {
	if len(body) < 2 {
		return 0, fmt.Errorf("acknowledgement has %d bytes, want 2", len(body))
	}
	return binary.BigEndian.Uint16(body), nil
}

// Message is a PUBLISH. Topic and Payload are parts of the buffer that it was parsed from.
type Message struct {
	Topic, Payload []byte
	ID             uint16
	QoS            byte
	Dup, Retain    bool
}

// ParsePublish takes the body of a PUBLISH with the given first byte apart.
func ParsePublish(first byte, body []byte) (Message, error) {
	m := Message{QoS: first >> 1 & 3, Dup: first&0x08 != 0, Retain: first&0x01 != 0}
	if len(body) < 2 {
		return m, errors.New("publish is too short for its topic")
	}
	n := 2 + int(binary.BigEndian.Uint16(body))
	rest := n
	if m.QoS > 0 {
		rest += 2
	}
	if len(body) < rest {
		return m, errors.New("publish is too short for its topic and packet id")
	}
	if m.QoS > 0 {
		m.ID = binary.BigEndian.Uint16(body[n:])
	}
	m.Topic, m.Payload = body[2:n], body[rest:]
	return m, nil
}

package mqttsink

import (
	"encoding/binary"
	"fmt"

	"gateway"
)

// headerRoom is the most that a fixed header takes: its first byte and four of remaining length.
const headerRoom = 5

// encoder makes PUBLISH packets of events (MQTT 3.1.1 section 3.3). It does not change.
type encoder struct {
	topic     template
	json      bool
	retain    bool
	maxPacket int
}

// append appends e as a PUBLISH with QoS 1 and the packet id to dst. Its errors are Permanent; dst is then as it was.
func (c *encoder) append(dst []byte, e *gateway.Event, id uint16) ([]byte, error) {
	first := byte(0x32)
	if c.retain && e.Extensions[gateway.ExtRetain] == "true" {
		first |= 1
	}
	start := len(dst)
	out := append(dst, first, 0, 0, 0, 0, 0, 0)
	out, err := c.topic.append(out, e)
	if err != nil {
		return dst, gateway.Permanent(fmt.Errorf("publish: %w", err))
	}
	body := start + headerRoom
	binary.BigEndian.PutUint16(out[body:], uint16(len(out)-body-2))
	out = binary.BigEndian.AppendUint16(out, id)
	if !c.json {
		out = append(out, e.Data...)
	} else if out, err = e.AppendJSON(out); err != nil {
		return dst, gateway.Permanent(fmt.Errorf("publish as CloudEvents JSON: %w", err))
	}
	var length [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(length[:], uint64(len(out)-body)) // MQTT's remaining length is a varint (section 2.2.3)
	if size := 1 + n + len(out) - body; size > c.maxPacket {
		return dst, gateway.Permanent(fmt.Errorf("publish: the packet has %d bytes, the broker takes %d (max_packet)", size, c.maxPacket))
	}
	copy(out[start+1:], length[:n])
	moved := copy(out[start+1+n:], out[body:])
	return out[:start+1+n+moved], nil
}

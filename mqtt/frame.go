package mqtt

import "github.com/mochi-mqtt/server/v2/packets"

// frame is one MQTT control packet as it stands in a buffer.
type frame struct {
	kind  byte   // packets.Connect, …
	flags byte   // the low four bits of the first byte
	raw   []byte // all of it
	body  []byte // what follows the length
}

// nextFrame returns the first frame of buf. ok is false while it is not complete; need is then how long it is in
// all, or 0 if that is not known yet. A frame is refused as soon as its header shows that it is wrong or longer than
// limit, before anything is allocated for it (MQTT 5.0 section 2.1).
func nextFrame(buf []byte, limit int, v5 bool) (f frame, need int, ok bool, err error) {
	if len(buf) == 0 {
		return f, 0, false, nil
	}
	f.kind, f.flags = buf[0]>>4, buf[0]&15
	if err := checkFlags(f.kind, f.flags, v5); err != nil {
		return f, 0, false, err
	}
	n, size, err := varint(buf[1:])
	if err != nil {
		return f, 0, false, err
	}
	if size == 0 {
		return f, 0, false, nil
	}
	need = 1 + size + n
	if need > limit {
		return f, need, false, packets.ErrPacketTooLarge
	}
	if len(buf) < need {
		return f, need, false, nil
	}
	f.raw, f.body = buf[:need], buf[1+size:need]
	return f, need, true, nil
}

// checkFlags refuses first bytes that a client cannot send (MQTT 5.0 sections 2.1.2 and 2.1.3).
func checkFlags(kind, flags byte, v5 bool) error {
	switch kind {
	case packets.Publish:
		if flags>>1&3 == 3 {
			return packets.ErrProtocolViolationQosOutOfRange
		}
		if flags&8 != 0 && flags>>1&3 == 0 {
			return packets.ErrProtocolViolationDupNoQos
		}
		return nil
	case packets.Pubrel, packets.Subscribe, packets.Unsubscribe:
		if flags != 2 {
			return packets.ErrMalformedFlags
		}
		return nil
	case packets.Connect, packets.Puback, packets.Pubrec, packets.Pubcomp, packets.Pingreq, packets.Disconnect:
	case packets.Auth:
		if !v5 {
			return packets.ErrProtocolViolation
		}
	default:
		return packets.ErrProtocolViolation
	}
	if flags != 0 {
		return packets.ErrMalformedFlags
	}
	return nil
}

// varint decodes a variable byte integer (MQTT 5.0 section 1.5.5). size is how many bytes it has, 0 while b ends
// before it does.
func varint(b []byte) (n, size int, err error) {
	for i := range min(len(b), 4) {
		n |= int(b[i]&127) << (7 * i)
		if b[i] < 128 {
			if i > 0 && b[i] == 0 {
				return 0, 0, packets.ErrMalformedVariableByteInteger // not the shortest form
			}
			return n, i + 1, nil
		}
	}
	if len(b) >= 4 {
		return 0, 0, packets.ErrMalformedVariableByteInteger
	}
	return 0, 0, nil
}

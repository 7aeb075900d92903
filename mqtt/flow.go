package mqtt

import (
	"encoding/binary"

	"github.com/mochi-mqtt/server/v2/packets"
)

// flow keeps a client's Receive Maximum (MQTT 5.0 section 4.9): no more QoS 1 and 2 publishes are on their way to it
// than it said; further ones, and all that follow them, are held here. It is part of an outbox and guarded by its mutex.
type flow struct {
	max   int
	onWay map[uint16]struct{}
	held  [][]byte
	bytes int // in held
}

func newFlow(receiveMaximum uint16) *flow {
	return &flow{max: int(receiveMaximum), onWay: map[uint16]struct{}{}}
}

// pass says whether the PUBLISH frame may be written now, and holds a copy of it if not.
func (f *flow) pass(raw []byte) bool {
	id, qos := outboundID(raw)
	if qos == 0 && len(f.held) == 0 {
		return true
	}
	_, again := f.onWay[id]
	if qos > 0 && (again || len(f.held) == 0 && len(f.onWay) < f.max) {
		f.onWay[id] = struct{}{}
		return true
	}
	f.held = append(f.held, append([]byte(nil), raw...))
	f.bytes += len(raw)
	return false
}

// finished takes note of an acknowledgement by the client and returns the frames that may be written now.
func (f *flow) finished(in frame) [][]byte {
	if len(in.body) < 2 || in.kind == packets.Pubrec && (len(in.body) < 3 || in.body[2] < 0x80) {
		return nil
	}
	delete(f.onWay, binary.BigEndian.Uint16(in.body))
	n := 0
	for ; n < len(f.held); n++ {
		id, qos := outboundID(f.held[n])
		if qos == 0 {
			continue
		}
		if len(f.onWay) >= f.max {
			break
		}
		f.onWay[id] = struct{}{}
	}
	free := f.held[:n]
	f.held = f.held[n:]
	for _, raw := range free {
		f.bytes -= len(raw)
	}
	return free
}

func (f *flow) forget() { f.held, f.bytes = nil, 0 }

// outboundID returns the packet id and QoS of a PUBLISH frame that mochi encoded.
func outboundID(raw []byte) (id uint16, qos byte) {
	qos = raw[0] >> 1 & 3
	if qos == 0 {
		return 0, 0
	}
	_, size, err := varint(raw[1:])
	at := 1 + size
	if err != nil || len(raw) < at+2 {
		return 0, 0
	}
	at += 2 + int(binary.BigEndian.Uint16(raw[at:]))
	if len(raw) < at+2 {
		return 0, 0
	}
	return binary.BigEndian.Uint16(raw[at:]), qos
}

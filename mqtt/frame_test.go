package mqtt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"
)

func TestNextFrame(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in   []byte
		need int
		ok   bool
		err  error
	}{
		"nothing":                  {nil, 0, false, nil},
		"first byte":               {[]byte{0x30}, 0, false, nil},
		"half a length":            {[]byte{0x30, 0x80}, 0, false, nil},
		"half a frame":             {[]byte{0x30, 3, 0}, 5, false, nil},
		"a frame and more":         {[]byte{0xc0, 0, 0xc0}, 2, true, nil},
		"long length":              {append([]byte{0x30, 0x80, 0x01}, make([]byte, 128)...), 131, true, nil},
		"length of five bytes":     {[]byte{0x30, 0xff, 0xff, 0xff, 0xff, 1}, 0, false, packets.ErrMalformedVariableByteInteger},
		"length too long to write": {[]byte{0x30, 0x80, 0x00}, 0, false, packets.ErrMalformedVariableByteInteger},
		"too large":                {[]byte{0x30, 0xff, 0x7f}, 16386, false, packets.ErrPacketTooLarge},
		"kind 0":                   {[]byte{0}, 0, false, packets.ErrProtocolViolation},
		"a server's packet":        {[]byte{0x20, 2, 0, 0}, 0, false, packets.ErrProtocolViolation},
		"QoS 3":                    {[]byte{0x36}, 0, false, packets.ErrProtocolViolationQosOutOfRange},
		"dup with QoS 0":           {[]byte{0x38}, 0, false, packets.ErrProtocolViolationDupNoQos},
		"PUBREL without its flag":  {[]byte{0x60, 2, 0, 1}, 0, false, packets.ErrMalformedFlags},
		"PINGREQ with a flag":      {[]byte{0xc1, 0}, 0, false, packets.ErrMalformedFlags},
		"AUTH before MQTT 5":       {[]byte{0xf0, 0}, 0, false, packets.ErrProtocolViolation},
	} {
		_, need, ok, err := nextFrame(c.in, 1024, false)
		if need != c.need || ok != c.ok || !errors.Is(err, c.err) {
			t.Errorf("%s: nextFrame(%x): got %d, %v, %v, want %d, %v, %v", name, c.in, need, ok, err, c.need, c.ok, c.err)
		}
	}
}

// FuzzFrame feeds bytes in pieces: how they are cut must not change what frames come out, and nothing may panic.
func FuzzFrame(f *testing.F) {
	c := &rawClient{t: f, version: 5}
	f.Add(c.publishFrame(message{topic: "a/b", payload: "x", qos: 1, id: 7, props: [][]byte{propAlias(3)}}), uint8(3), true)
	f.Add(c.connectFrame(hello{id: "c", will: &message{topic: "w", payload: "x"}}), uint8(1), true)
	f.Add(c.subscribeFrame(1, 1, "a/#", "b"), uint8(2), false)
	f.Add([]byte{0x30, 0xff, 0xff, 0x03, 0}, uint8(1), true)
	f.Fuzz(func(t *testing.T, in []byte, step uint8, v5 bool) {
		whole, werr := split(in, len(in)+1, v5)
		pieces, perr := split(in, int(step)+1, v5)
		if !bytes.Equal(whole, pieces) || (werr == nil) != (perr == nil) {
			t.Errorf("%x: got %x, %v in one piece, %x, %v in pieces of %d", in, whole, werr, pieces, perr, int(step)+1)
		}
	})
}

// split parses in as a connection does, through a workspace that is filled step bytes at a time, and returns a trace.
func split(in []byte, step int, v5 bool) (trace []byte, err error) {
	ws := &workspace{buf: make([]byte, 8)}
	for {
		f, need, ok, err := nextFrame(ws.buf[ws.r:ws.w], 4096, v5)
		if err != nil {
			return trace, err
		}
		if ok {
			ws.r += need
			trace = binary.BigEndian.AppendUint32(append(trace, f.kind, f.flags), uint32(len(f.body)))
			trace = append(trace, digest(f, v5)...)
			continue
		}
		if len(in) == 0 {
			return trace, nil
		}
		ws.room(need)
		n := copy(ws.buf[ws.w:], in[:min(step, len(in))])
		ws.w += n
		in = in[n:]
	}
}

// digest decodes the frame with whatever decodes it in a connection.
func digest(f frame, v5 bool) []byte {
	switch f.kind {
	case packets.Publish:
		p, err := splitPublish(f.flags, f.body, v5)
		if err != nil {
			return []byte("bad")
		}
		out := append(bytes.Clone(p.topic), byte(p.packetID))
		if p.props != nil {
			props, err := decodeProperties(packets.Publish, p.props)
			if err != nil || checkPublishProperties(props) != nil {
				return append(out, "bad properties"...)
			}
		}
		if validTopicName(p.topic) != nil {
			return append(out, "bad topic"...)
		}
		return append(out, p.payload...)
	case packets.Connect:
		pk, err := decodeConnect(f)
		if err != nil || checkConnect(pk) != nil {
			return []byte("bad")
		}
		return []byte(pk.Connect.ClientIdentifier)
	case packets.Disconnect:
		pk := packets.Packet{ProtocolVersion: 5, FixedHeader: packets.FixedHeader{Remaining: len(f.body)}}
		if decodeDisconnect(&pk, f.body) != nil {
			return []byte("bad")
		}
		return []byte{pk.ReasonCode}
	}
	return f.body
}

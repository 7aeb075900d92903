package mqtt

import (
	"bytes"
	"fmt"

	"github.com/mochi-mqtt/server/v2/packets"
)

// onDisconnect looks at a DISCONNECT before mochi does: at what becomes of the will and of the session (MQTT 5.0
// section 3.14).
func (c *conn) onDisconnect(f frame) error {
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Disconnect, Remaining: len(f.body)}, ProtocolVersion: 4}
	if c.v5 {
		pk.ProtocolVersion = 5
		if err := decodeDisconnect(&pk, f.body); err != nil {
			return c.failed(err)
		}
	}
	if p := &pk.Properties; p.SessionExpiryIntervalFlag {
		if p.SessionExpiryInterval > 0 && !c.lasting {
			return c.failed(packets.ErrProtocolViolationZeroNonZeroExpiry)
		}
		c.expiry = p.SessionExpiryInterval
		c.lasting = c.expiry > 0
		if c.lasting {
			p.SessionExpiryInterval = never
		}
	}
	if pk.ReasonCode == packets.CodeDisconnect.Code {
		c.will = nil
	}
	c.gone = true
	pk.ReasonCode = packets.CodeDisconnect.Code // mochi knows of no will
	var buf bytes.Buffer
	if err := pk.DisconnectEncode(&buf); err != nil {
		return fmt.Errorf("encode DISCONNECT: %w", err)
	}
	c.pass = buf.Bytes()
	return nil
}

func decodeDisconnect(pk *packets.Packet, body []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", packets.ErrMalformedPacket, p)
		}
	}()
	if len(body) == 1 { // mochi reads the reason only where properties follow
		pk.ReasonCode = body[0]
		return nil
	}
	return pk.DisconnectDecode(bytes.Clone(body))
}

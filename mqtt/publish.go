package mqtt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/mochi-mqtt/server/v2/packets"
)

// publish is one PUBLISH of a device, or its will, decoded and with its topic alias resolved.
type publish struct {
	topic    string // its memory is its own: it may be kept
	payload  []byte // aliases the read buffer: valid until the batch that it is in was submitted
	qos      byte
	retain   bool
	dup      bool
	packetID uint16
	v5       bool
	props    *packets.Properties // nil for MQTT 3 and where there are no properties; its strings may be kept
	will     bool
}

// rawPublish is a PUBLISH taken apart (MQTT 5.0 section 3.3). The slices alias the frame.
type rawPublish struct {
	topic    []byte
	props    []byte // with the length in front; nil where there are none
	payload  []byte
	packetID uint16
}

// splitPublish takes the body of a PUBLISH apart; flags are the low bits of its first byte.
func splitPublish(flags byte, body []byte, v5 bool) (p rawPublish, err error) {
	if len(body) < 2 {
		return p, packets.ErrMalformedTopic
	}
	end := 2 + int(binary.BigEndian.Uint16(body))
	if end > len(body) {
		return p, packets.ErrMalformedTopic
	}
	p.topic, body = body[2:end], body[end:]
	if flags>>1&3 > 0 {
		if len(body) < 2 {
			return p, packets.ErrMalformedPacketID
		}
		p.packetID, body = binary.BigEndian.Uint16(body), body[2:]
		if p.packetID == 0 {
			return p, packets.ErrProtocolViolationNoPacketID
		}
	}
	if !v5 {
		p.payload = body
		return p, nil
	}
	n, size, err := varint(body)
	if err != nil || size == 0 || n > len(body)-size {
		return p, packets.ErrMalformedProperties
	}
	if n > 0 {
		p.props = body[:size+n]
	}
	p.payload = body[size+n:]
	return p, nil
}

// decodeProperties decodes the properties of a packet of the given kind from a copy of raw, so that the result may
// be kept. The library's decoder may panic on input that it did not expect: that is an error here.
func decodeProperties(kind byte, raw []byte) (props *packets.Properties, err error) {
	defer func() {
		if p := recover(); p != nil {
			props, err = nil, fmt.Errorf("%w: %v", packets.ErrMalformedProperties, p)
		}
	}()
	props = new(packets.Properties)
	if _, err := props.Decode(kind, bytes.NewBuffer(bytes.Clone(raw))); err != nil {
		return nil, packets.ErrMalformedProperties
	}
	return props, nil
}

// checkPublishProperties refuses what a client must not send in a PUBLISH (MQTT 5.0 sections 3.3.2.3.4 to 3.3.2.3.8).
func checkPublishProperties(p *packets.Properties) error {
	switch {
	case p.TopicAliasFlag && (p.TopicAlias == 0 || p.TopicAlias > topicAliasMaximum):
		return packets.ErrTopicAliasInvalid
	case len(p.SubscriptionIdentifier) > 0:
		return packets.ErrProtocolViolationSurplusSubID
	case strings.ContainsAny(p.ResponseTopic, "+#"):
		return packets.ErrProtocolViolationSurplusWildcard
	case p.PayloadFormat > 1:
		return packets.ErrMalformedPacket
	}
	return nil
}

package mqtt

import (
	"bytes"

	"gateway"
)

// Messages makes events of the messages of another broker, as this one makes them of what devices publish. It does
// not change; safe for concurrent use.
type Messages struct{ m *mapper }

// NewMessages returns one for the broker that source, a URI reference, names. That is the source of a message that is
// no CloudEvent; a CloudEvent has it as its ExtClient.
func NewMessages(source string) *Messages {
	return &Messages{m: &mapper{source: source, client: attribute(source)}}
}

// Event is a message of MQTT 3.1.1 as an event without time, and without ID unless it is a CloudEvent. It is always
// valid, and its Data may be the payload itself. MQTT 3.1.1 has no content type to say that a payload is a CloudEvent
// in JSON (CloudEvents MQTT Protocol Binding 1.0.2, section 3.2), so with cloudEvents each one is looked at: a JSON
// object that has a specversion is meant as one, and if it is not valid it is kept as it is and says why.
func (m *Messages) Event(topic string, payload []byte, qos byte, retain, cloudEvents bool) gateway.Event {
	p := &publish{topic: topic, payload: payload, qos: qos, retain: retain}
	if !cloudEvents || !meantAsCloudEvent(payload) {
		return m.m.plainEvent(p, "")
	}
	e, err := gateway.ParseJSON(payload)
	if err != nil {
		return m.m.plainEvent(p, err.Error())
	}
	m.m.adopt(&e, p, nil)
	return e
}

// meantAsCloudEvent is a quick look, which most payloads fail.
func meantAsCloudEvent(payload []byte) bool {
	text := bytes.TrimLeft(payload, " \t\r\n")
	return len(text) > 0 && text[0] == '{' && bytes.Contains(text, []byte(`"specversion"`))
}

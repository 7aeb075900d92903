package gateway

import "encoding/base64"

// Extensions with which an event says that its topic is not its subject.
const (
	// ExtTopic is the topic of an event whose subject is the device's own.
	ExtTopic = "mqtttopic"
	// ExtTopicBase64 is the topic in base64, where it has characters that no attribute may have.
	ExtTopicBase64 = "mqtttopicbase64"
	// ExtRetain is "true" for an event that was published retained.
	ExtRetain = "mqttretain"
)

// ExtClock is the extension of an event whose gateway did not know the time when it came: ClockUnsynced if its Time is
// that of a clock that had not been set since boot, ClockCorrected if it has been put right since. Without it the clock was
// synchronised, or the time is the device's own.
const (
	ExtClock       = "gatewayclock"
	ClockUnsynced  = "unsynchronized"
	ClockCorrected = "corrected"
)

// Topic is what topic filters match, and what the event is published to again: the MQTT topic that it came on or,
// for an event that is not from MQTT, its Subject.
func (e *Event) Topic() string {
	if len(e.Extensions) == 0 {
		return e.Subject
	}
	if raw, ok := e.Extensions[ExtTopicBase64]; ok {
		if topic, err := base64.StdEncoding.DecodeString(raw); err == nil {
			return string(topic)
		}
	}
	if topic, ok := e.Extensions[ExtTopic]; ok {
		return topic
	}
	return e.Subject
}

// Extensions of delivery.
const (
	// ExtExpiry is the time (RFC 3339) after which an event is not worth delivering: CloudEvents' expirytime.
	ExtExpiry = "expirytime"
	// ExtBackfill is "true" for an event that was delivered behind newer ones of its source.
	ExtBackfill = "backfill"
	// ExtReplay is, for an event that is delivered once more, the id of the replay.
	ExtReplay = "replay"
)

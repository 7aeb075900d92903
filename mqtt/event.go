package mqtt

import (
	"encoding/base64"
	"net/url"
	"strconv"

	"gateway"
)

// Types of the events that the broker makes of publishes.
const (
	TypePublish = "mqtt.publish"
	TypeWill    = "mqtt.will"
)

// Extensions of events from MQTT, beside gateway.ExtRetain, gateway.ExtTopic (for a CloudEvent whose subject is the
// device's own) and gateway.ExtTopicBase64 (for a topic with control characters, which no attribute may have: the
// subject then has those, and the percent sign, percent-encoded). Only ExtQoS is always there.
const (
	// ExtQoS is the QoS that the device published with: "0", "1" or "2".
	ExtQoS = "mqttqos"
	// ExtProperties are the MQTT 5 user properties: a JSON array of [name, value] pairs in their order. Those that
	// became attributes of a CloudEvent are not among them.
	ExtProperties = "mqttproperties"
	// ExtResponseTopic, ExtCorrelation (base64) and ExtExpiry (seconds) are properties of an MQTT 5 request.
	ExtResponseTopic = "mqttresponsetopic"
	ExtCorrelation   = "mqttcorrelation"
	ExtExpiry        = "mqttexpiry"
	// ExtClient is the id of the client that published a CloudEvent, whose source is the device's own, so that one
	// device cannot pass for another unseen.
	ExtClient = "mqttclient"
	// ExtCloudEventsError says why what a device meant as a CloudEvent was kept as a plain publish.
	ExtCloudEventsError = "cloudeventserror"
)

// plainExtensions are the extensions of a publish without properties, by QoS and retain: shared by all events, and
// never changed.
var plainExtensions = [3][2]map[string]string{
	{{ExtQoS: "0"}, {ExtQoS: "0", gateway.ExtRetain: "true"}},
	{{ExtQoS: "1"}, {ExtQoS: "1", gateway.ExtRetain: "true"}},
	{{ExtQoS: "2"}, {ExtQoS: "2", gateway.ExtRetain: "true"}},
}

// mapper makes events of one client's publishes. It does not change; safe for concurrent use.
type mapper struct {
	self   gateway.Identity
	source string // //<gateway id>/mqtt/<client id>, percent-encoded
	client string // the client id as an attribute may have it
}

func newMapper(gatewayID, clientID string) *mapper {
	return &mapper{
		self:   gateway.Identity{ID: gatewayID},
		source: "//" + url.PathEscape(gatewayID) + "/mqtt/" + url.PathEscape(clientID),
		client: attribute(clientID),
	}
}

// event is the publish as an event without ID and time, which the log gives. Its Data is p.payload. It is always
// valid, and for a publish without properties and control characters in its topic it allocates nothing.
func (m *mapper) event(p *publish) gateway.Event {
	if p.props != nil {
		if e, ok := m.cloudEvent(p); ok {
			return e
		}
	}
	return m.plainEvent(p, "")
}

// plainEvent keeps the publish as it is. problem is why it is no CloudEvent, if it was meant to be one.
func (m *mapper) plainEvent(p *publish, problem string) gateway.Event {
	e := gateway.Event{Source: m.source, Type: TypePublish, Subject: p.topic, Data: p.payload}
	if p.will {
		e.Type = TypeWill
	}
	if p.props != nil && p.props.ContentType != "" && printable(p.props.ContentType) {
		e.DataContentType = p.props.ContentType
	} else {
		e.DataContentType = sniff(p.payload)
	}
	e.Extensions = plain(p)
	topicOK := printable(p.topic)
	if topicOK && problem == "" && !hasMessageProperties(p) {
		return e
	}
	e.Extensions = messageExtensions(p, nil)
	if !topicOK {
		e.Subject = percentEncode(p.topic)
		e.Extensions[gateway.ExtTopicBase64] = base64.StdEncoding.EncodeToString([]byte(p.topic))
	}
	if problem != "" {
		e.Extensions[ExtCloudEventsError] = shorten(attribute(problem), 256)
	}
	return e
}

// plain returns the extensions that need no map of their own.
func plain(p *publish) map[string]string {
	retain := 0
	if p.retain {
		retain = 1
	}
	return plainExtensions[min(p.qos, 2)][retain]
}

func hasMessageProperties(p *publish) bool {
	return p.props != nil && (len(p.props.User) > 0 || p.props.ResponseTopic != "" ||
		len(p.props.CorrelationData) > 0 || p.props.MessageExpiryInterval > 0)
}

// messageExtensions returns a map of its own with what MQTT says about the message. isAttribute, if not nil, says
// which user properties stand elsewhere in the event.
func messageExtensions(p *publish, isAttribute func(name string) bool) map[string]string {
	ext := make(map[string]string, 8)
	for name, value := range plain(p) {
		ext[name] = value
	}
	if p.props == nil {
		return ext
	}
	if list := propertiesJSON(p.props.User, isAttribute); list != "" {
		ext[ExtProperties] = list
	}
	if p.props.ResponseTopic != "" {
		ext[ExtResponseTopic] = attribute(p.props.ResponseTopic)
	}
	if len(p.props.CorrelationData) > 0 {
		ext[ExtCorrelation] = base64.StdEncoding.EncodeToString(p.props.CorrelationData)
	}
	if p.props.MessageExpiryInterval > 0 {
		ext[ExtExpiry] = strconv.FormatUint(uint64(p.props.MessageExpiryInterval), 10)
	}
	return ext
}

package mqtt

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"gateway"
)

// A device may speak CloudEvents itself (CloudEvents MQTT Protocol Binding 1.0.2), over MQTT 5 only: in binary mode
// (section 3.1) the user property specversion and one for each other attribute, in structured mode (section 3.2) the
// content type application/cloudevents+json. MQTT 3 can say neither, and a payload that looks like a CloudEvent is
// never guessed to be one.

// cloudEvent is the publish as the CloudEvent that the device made it; false if it is not meant as one. One that is
// meant but not valid is a plain publish that says so.
func (m *mapper) cloudEvent(p *publish) (gateway.Event, bool) {
	var e gateway.Event
	var err error
	var isAttribute func(name string) bool
	switch media := mediaType(p.props.ContentType); {
	case media == gateway.ContentTypeCloudEventsJSON:
		e, err = gateway.ParseJSON(p.payload)
	case strings.HasPrefix(media, "application/cloudevents"):
		err = fmt.Errorf("the content type %s is not supported: send %s", media, gateway.ContentTypeCloudEventsJSON)
	case userProperty(p, "specversion") >= 0:
		e, err = binaryEvent(p)
		isAttribute = attributeName
	default:
		return gateway.Event{}, false
	}
	if err != nil {
		return m.plainEvent(p, err.Error()), true
	}
	m.adopt(&e, p, isAttribute)
	return e, true
}

// adopt adds what MQTT says about the message to the device's own event. For isAttribute see messageExtensions.
func (m *mapper) adopt(e *gateway.Event, p *publish, isAttribute func(name string) bool) {
	ext := messageExtensions(p, isAttribute)
	for name, value := range e.Extensions {
		if _, ours := ext[name]; !ours {
			ext[name] = value
		}
	}
	e.Extensions = ext
	m.addOrigin(e, p)
}

// addOrigin says where the device's own event came from: its topic, as the subject if it has none, and its client.
func (m *mapper) addOrigin(e *gateway.Event, p *publish) {
	topic := attribute(p.topic)
	delete(e.Extensions, gateway.ExtTopic) // a gateway before this one may have set them
	delete(e.Extensions, gateway.ExtTopicBase64)
	delete(e.Extensions, ExtCloudEventsError)
	if e.Subject == "" {
		e.Subject = topic
	}
	if e.Subject != topic {
		e.Extensions[gateway.ExtTopic] = topic
	}
	if topic != p.topic {
		e.Extensions[gateway.ExtTopicBase64] = base64.StdEncoding.EncodeToString([]byte(p.topic))
	}
	e.Extensions[ExtClient] = m.client
}

// mediaType is the content type in lower case without its parameters.
func mediaType(contentType string) string {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(media))
}

func userProperty(p *publish, name string) int {
	for i := range p.props.User {
		if p.props.User[i].Key == name {
			return i
		}
	}
	return -1
}

// attributeName says whether a user property of a binary mode event is one of its attributes. Others may stand
// beside them.
func attributeName(name string) bool {
	switch name {
	case "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema":
		return true
	}
	return gateway.ValidExtensionName(name) == nil
}

// binaryEvent reads the attributes from the user properties. The error wraps gateway.ErrInvalidEvent.
func binaryEvent(p *publish) (gateway.Event, error) {
	e := gateway.Event{Data: p.payload}
	seen := map[string]bool{}
	for _, prop := range p.props.User {
		if !attributeName(prop.Key) {
			continue
		}
		if seen[prop.Key] {
			return e, fmt.Errorf("%w: the user property %s stands twice", gateway.ErrInvalidEvent, prop.Key)
		}
		seen[prop.Key] = true
		if err := setAttribute(&e, prop.Key, prop.Val); err != nil {
			return e, err
		}
	}
	if e.ID == "" {
		return e, fmt.Errorf("%w: the user property id is missing", gateway.ErrInvalidEvent)
	}
	if media := p.props.ContentType; media != "" {
		if seen["datacontenttype"] && e.DataContentType != media {
			return e, fmt.Errorf("%w: the content type and the user property datacontenttype differ", gateway.ErrInvalidEvent)
		}
		e.DataContentType = media
	}
	return e, e.Validate()
}

func setAttribute(e *gateway.Event, name, value string) error {
	target := map[string]*string{
		"id": &e.ID, "source": &e.Source, "type": &e.Type, "subject": &e.Subject,
		"datacontenttype": &e.DataContentType, "dataschema": &e.DataSchema,
	}[name]
	switch {
	case target != nil:
		if value == "" {
			return fmt.Errorf("%w: the user property %s is empty", gateway.ErrInvalidEvent, name)
		}
		*target = value
	case name == "specversion":
		if value != gateway.SpecVersion {
			return fmt.Errorf("%w: specversion is %.20q, must be %q", gateway.ErrInvalidEvent, value, gateway.SpecVersion)
		}
	case name == "time":
		t, err := time.Parse(time.RFC3339Nano, value)
		if err != nil {
			return fmt.Errorf("%w: time is %.40q, must be of RFC 3339, as in 2026-01-31T23:59:59.5Z", gateway.ErrInvalidEvent, value)
		}
		e.Time = t.UTC()
	default:
		if e.Extensions == nil {
			e.Extensions = map[string]string{}
		}
		e.Extensions[name] = value
	}
	return nil
}

// Package gateway is the vocabulary of the edge event gateway: events, the log they are kept in, the sources that
// append to it, the sinks that they are delivered to, and the classes of errors between them. It imports only the
// standard library; every other package adapts one technology and imports this one.
package gateway

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// SpecVersion is the CloudEvents version that every event of this gateway has.
const SpecVersion = "1.0"

// Event is a CloudEvents 1.0 event (https://github.com/cloudevents/spec, v1.0.2), immutable once it was handed to
// an Appender: its Data and Extensions may be shared between goroutines and events.
type Event struct {
	// ID is unique within Source. The log gives one to an event that comes without (see EventID).
	ID string
	// Source is a non-empty URI reference that names who made the event.
	Source string
	// Type says what happened, such as "mqtt.publish".
	Type string
	// Subject is what it happened to; for an event from MQTT the topic.
	Subject string
	// Time is when it happened. Zero means: when the log received it.
	Time time.Time
	// DataContentType is the media type of Data, "" if unknown.
	DataContentType string
	// DataSchema is a URI of the schema of Data, "" if none.
	DataSchema string
	// Data is the payload as it was received.
	Data []byte
	// Extensions are further attributes by name: lower-case letters and digits, at most 20 of them. May be nil.
	Extensions map[string]string
}

// Offset is a position in the log: from 1, rising by 1 with each event, never reused. 0 means "before the first".
type Offset uint64

// Entry is an event in its place in the log.
type Entry struct {
	// Offset is the event's place.
	Offset Offset
	// Received is the wall clock of the gateway when it appended the event, to the microsecond. Order is by Offset, never by
	// this. Where that clock was not synchronised and became so later in the same boot, it is corrected (see ExtClock).
	Received time.Time
	// Event has ID and Time filled in.
	Event Event
}

// EventID is the ID that the log gives to an event that came without one. It is never given twice: logID is random
// and made with the log, epoch rises with a repair, a restore and another machine.
func EventID(logID string, epoch uint32, offset Offset) string {
	return fmt.Sprintf("%s.%d-%d", logID, epoch, offset)
}

// ErrInvalidEvent is what Event.Validate wraps.
var ErrInvalidEvent = errors.New("invalid event")

// contextAttributes are the names that an extension cannot have (CloudEvents 1.0, "Context Attributes", and "data").
var contextAttributes = map[string]bool{
	"id": true, "source": true, "specversion": true, "type": true, "datacontenttype": true,
	"dataschema": true, "subject": true, "time": true, "data": true, "data_base64": true,
}

// Validate says what keeps e from being a CloudEvents 1.0 event, as an error that wraps ErrInvalidEvent; nil if
// nothing does. An empty ID is allowed: the log fills it in.
func (e *Event) Validate() error {
	if e.Source == "" {
		return fmt.Errorf("%w: source is empty", ErrInvalidEvent)
	}
	if e.Type == "" {
		return fmt.Errorf("%w: type is empty", ErrInvalidEvent)
	}
	for _, a := range [...]struct{ name, value string }{
		{"id", e.ID}, {"source", e.Source}, {"type", e.Type}, {"subject", e.Subject},
		{"datacontenttype", e.DataContentType}, {"dataschema", e.DataSchema},
	} {
		if err := validString(a.value); err != nil {
			return fmt.Errorf("%w: %s %w", ErrInvalidEvent, a.name, err)
		}
	}
	for name, value := range e.Extensions {
		if err := ValidExtensionName(name); err != nil {
			return err
		}
		if err := validString(value); err != nil {
			return fmt.Errorf("%w: %s %w", ErrInvalidEvent, name, err)
		}
	}
	return nil
}

// ValidExtensionName says what keeps name from being the name of an extension attribute, as an error that wraps
// ErrInvalidEvent (CloudEvents 1.0, "Naming Conventions": lower-case letters and digits; no more than 20 characters).
func ValidExtensionName(name string) error {
	if name == "" || len(name) > 20 {
		return fmt.Errorf("%w: extension name %q must have 1 to 20 characters", ErrInvalidEvent, name)
	}
	if !lowerAlnum(name) {
		return fmt.Errorf("%w: extension name %q must be of a-z and 0-9", ErrInvalidEvent, name)
	}
	if contextAttributes[name] {
		return fmt.Errorf("%w: %q is an attribute of CloudEvents, not an extension", ErrInvalidEvent, name)
	}
	return nil
}

func lowerAlnum(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// validString refuses what the CloudEvents type String excludes: broken UTF-8 and control characters.
func validString(s string) error {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n <= 1 {
			return errors.New("is not valid UTF-8")
		}
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return fmt.Errorf("has the control character U+%04X", r)
		}
		i += n
	}
	return nil
}

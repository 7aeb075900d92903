package gateway

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"time"
)

// draft is an event of which not all members were read.
type draft struct {
	event   Event
	seen    uint // a bit for each attribute of the specification
	version bool // specversion is there and not null
	// data and base64 are the raw values of these members; nil if absent.
	data, base64 []byte
	unset        map[string]bool // extensions that are null
}

// attribute returns the bit of an attribute of the specification, 0 for an extension, and where its text belongs if
// it is kept as text.
func (d *draft) attribute(name string) (bit uint, target *string) {
	e := &d.event
	switch name {
	case "specversion":
		return 1 << 0, nil
	case "id":
		return 1 << 1, &e.ID
	case "source":
		return 1 << 2, &e.Source
	case "type":
		return 1 << 3, &e.Type
	case "subject":
		return 1 << 4, &e.Subject
	case "time":
		return 1 << 5, nil
	case "datacontenttype":
		return 1 << 6, &e.DataContentType
	case "dataschema":
		return 1 << 7, &e.DataSchema
	case "data":
		return 1 << 8, nil
	case "data_base64":
		return 1 << 9, nil
	}
	return 0, nil
}

// set takes one member; raw is its value as it stands, valid JSON.
func (d *draft) set(name string, raw []byte) error {
	bit, target := d.attribute(name)
	if bit == 0 {
		return d.setExtension(name, raw)
	}
	if d.seen&bit != 0 {
		return fmt.Errorf("%w: %s stands twice", ErrInvalidEvent, name)
	}
	d.seen |= bit
	switch {
	case name == "data":
		d.data = raw
		return nil
	case string(raw) == "null":
		return nil
	case name == "data_base64":
		d.base64 = raw
		return nil
	}
	text, err := stringValue(name, raw)
	if err != nil {
		return err
	}
	if text == "" {
		return fmt.Errorf("%w: %s is empty", ErrInvalidEvent, name)
	}
	if target != nil {
		*target = text
		return nil
	}
	if name == "time" {
		d.event.Time, err = parseTime(text)
		return err
	}
	if text != SpecVersion {
		return fmt.Errorf("%w: specversion is %.20q, must be %q", ErrInvalidEvent, text, SpecVersion)
	}
	d.version = true
	return nil
}

// setExtension takes an extension attribute. Its name and text are checked in the end, with the rest of the event.
func (d *draft) setExtension(name string, raw []byte) error {
	if _, have := d.event.Extensions[name]; have || d.unset[name] {
		return fmt.Errorf("%w: %.40q stands twice", ErrInvalidEvent, name)
	}
	if string(raw) == "null" {
		if d.unset == nil {
			d.unset = make(map[string]bool)
		}
		d.unset[name] = true
		return ValidExtensionName(name)
	}
	value, err := extensionValue(name, raw)
	if err != nil {
		return err
	}
	if d.event.Extensions == nil {
		d.event.Extensions = make(map[string]string)
	}
	d.event.Extensions[name] = value
	return nil
}

// extensionValue returns the canonical text of an extension's value (JSON event format, section 2.2).
func extensionValue(name string, raw []byte) (string, error) {
	switch c := raw[0]; {
	case c == '"':
		return stringValue(name, raw)
	case c == 't' || c == 'f':
		return string(raw), nil
	case c == '{' || c == '[':
		return "", fmt.Errorf("%w: %.40q must be a string, a boolean or an integer", ErrInvalidEvent, name)
	}
	n, err := strconv.ParseInt(string(raw), 10, 32)
	if err != nil {
		return "", fmt.Errorf("%w: %.40q is %.20s, must be an integer of 32 bits", ErrInvalidEvent, name, raw)
	}
	return strconv.FormatInt(n, 10), nil
}

func stringValue(name string, raw []byte) (string, error) {
	if raw[0] != '"' {
		return "", fmt.Errorf("%w: %.40q must be a string", ErrInvalidEvent, name)
	}
	text, ok := unquote(raw)
	if !ok {
		return "", fmt.Errorf("%w: %.40q has half a surrogate pair", ErrInvalidEvent, name)
	}
	return string(text), nil
}

// parseTime reads RFC 3339 and returns UTC.
func parseTime(text string) (time.Time, error) {
	var t time.Time
	if err := t.UnmarshalText([]byte(text)); err != nil {
		return time.Time{}, fmt.Errorf("%w: time is %.40q, must be of RFC 3339, as in 2026-01-31T23:59:59.5Z", ErrInvalidEvent, text)
	}
	if s := t.Unix(); s < minUnix || s >= endUnix {
		return time.Time{}, fmt.Errorf("%w: time is %.40q, which in UTC is outside the years 0 to 9999", ErrInvalidEvent, text)
	}
	return t.UTC(), nil
}

// finish returns the event that the members make.
func (d *draft) finish() (Event, error) {
	if !d.version {
		return Event{}, fmt.Errorf("%w: specversion is missing", ErrInvalidEvent)
	}
	e := &d.event
	if e.ID == "" {
		return Event{}, fmt.Errorf("%w: id is missing", ErrInvalidEvent)
	}
	if err := e.Validate(); err != nil {
		return Event{}, err
	}
	if err := d.setData(); err != nil {
		return Event{}, err
	}
	return *e, nil
}

// setData turns data or data_base64 into the payload (JSON event format, section 3.1.2).
func (d *draft) setData() error {
	e, ok := &d.event, true
	switch {
	case d.data != nil && d.base64 != nil:
		return fmt.Errorf("%w: it has both data and data_base64", ErrInvalidEvent)
	case d.base64 != nil:
		text, err := stringValue("data_base64", d.base64)
		if err != nil {
			return err
		}
		if e.Data, err = base64.StdEncoding.Strict().DecodeString(text); err != nil {
			return fmt.Errorf("%w: data_base64 is not base64: %w", ErrInvalidEvent, err)
		}
	case d.data == nil:
	case dataKind(e.DataContentType) == kindJSON:
		e.Data = append([]byte(nil), d.data...)
	case string(d.data) == "null":
	case d.data[0] != '"':
		return fmt.Errorf("%w: data of type %.60q must be a string", ErrInvalidEvent, e.DataContentType)
	default:
		if e.Data, ok = unquote(d.data); !ok {
			return fmt.Errorf("%w: data has half a surrogate pair", ErrInvalidEvent)
		}
	}
	if len(e.Data) == 0 {
		e.Data = nil
	}
	return nil
}

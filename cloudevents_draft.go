package gateway

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
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

// attributeNames are the members that the specification defines.
var attributeNames = [...]string{
	"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data", "data_base64",
}

// attributeBit returns the bit of a member that the specification defines and its name; 0 for an extension.
func attributeBit[T string | []byte](member T) (bit uint, name string) {
	for i, name := range &attributeNames {
		if string(member) == name {
			return 1 << i, name
		}
	}
	return 0, ""
}

// set takes one member; raw is its value as it stands, valid JSON.
func (d *draft) set(member, raw []byte) error {
	bit, name := attributeBit(member)
	if bit == 0 {
		return d.setExtension(string(member), raw)
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
	return d.setAttribute(name, text)
}

func (d *draft) setAttribute(name, text string) (err error) {
	e := &d.event
	switch name {
	case "specversion":
		if text != SpecVersion {
			return fmt.Errorf("%w: specversion is %.20q, must be %q", ErrInvalidEvent, text, SpecVersion)
		}
		d.version = true
	case "time":
		e.Time, err = parseTime(text)
	case "id":
		e.ID = text
	case "source":
		e.Source = text
	case "type":
		e.Type = text
	case "subject":
		e.Subject = text
	case "datacontenttype":
		e.DataContentType = text
	case "dataschema":
		e.DataSchema = text
	}
	return err
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
	switch raw[0] {
	case '"':
		return stringValue(name, raw)
	case 't', 'f':
		return string(raw), nil
	case '{', '[':
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

// parseTime reads RFC 3339 and returns UTC. The standard library also takes a comma and an hour of one digit.
func parseTime(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || text[len("2006-01-02T15")] != ':' || strings.Contains(text, ",") {
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
	e := &d.event
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
		e.Data = bytes.Clone(d.data)
	case string(d.data) == "null":
	case d.data[0] != '"':
		return fmt.Errorf("%w: data of type %.60q must be a string", ErrInvalidEvent, e.DataContentType)
	default:
		text, ok := unquote(d.data)
		if !ok {
			return fmt.Errorf("%w: data has half a surrogate pair", ErrInvalidEvent)
		}
		e.Data = bytes.Clone(text)
	}
	if len(e.Data) == 0 {
		e.Data = nil
	}
	return nil
}

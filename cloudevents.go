package gateway

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Media types of the CloudEvents JSON formats.
const (
	ContentTypeCloudEventsJSON      = "application/cloudevents+json"
	ContentTypeCloudEventsBatchJSON = "application/cloudevents-batch+json"
)

// AppendJSON appends e in the CloudEvents JSON event format 1.0.2 to dst and returns the longer slice. The same event
// always gives the same bytes, on one line: the attributes in a fixed order, then the extensions by name, then the
// data. It allocates nothing but what dst needs to grow.
//
// Data becomes "data" as it stands where DataContentType declares JSON (*/json, */*+json) or is empty and Data is one
// valid JSON value; a string in "data" where the type is text/*, */xml or */*+xml and Data is UTF-8; otherwise
// "data_base64".
//
// ParseJSON gives the same event back, but for: the zone of Time, which becomes UTC (the instant stays, to the
// nanosecond); white space around JSON data, and inside it if it has line breaks; Data and Extensions of no length,
// which become nil.
//
// The error wraps ErrInvalidEvent and says what e lacks; here an empty ID is one. dst is then returned as it was.
func (e *Event) AppendJSON(dst []byte) ([]byte, error) {
	out, err := e.appendAttributes(dst)
	if err != nil {
		return dst, err
	}
	if len(e.Extensions) > 0 {
		if out, err = appendExtensions(out, e.Extensions); err != nil {
			return dst, err
		}
	}
	return append(appendData(out, e.DataContentType, e.Data), '}'), nil
}

// AppendJSONBatch appends events in the CloudEvents JSON batch format 1.0.2 (section 4) to dst, each as AppendJSON
// does. The error names the place of the first event that has one; dst is then returned as it was.
func AppendJSONBatch(dst []byte, events []Event) ([]byte, error) {
	out, err := append(dst, '['), error(nil)
	for i := range events {
		if i > 0 {
			out = append(out, ',')
		}
		if out, err = events[i].AppendJSON(out); err != nil {
			return dst, fmt.Errorf("event %d of %d: %w", i+1, len(events), err)
		}
	}
	return append(out, ']'), nil
}

func (e *Event) appendAttributes(dst []byte) ([]byte, error) {
	if e.ID == "" || e.Source == "" || e.Type == "" {
		return dst, e.missing()
	}
	var err error
	dst = append(dst, `{"specversion":"1.0"`...)
	for _, a := range [...]struct{ key, value string }{
		{`,"id":"`, e.ID}, {`,"source":"`, e.Source}, {`,"type":"`, e.Type}, {`,"subject":"`, e.Subject},
	} {
		if dst, err = appendAttribute(dst, a.key, a.value); err != nil {
			return dst, err
		}
	}
	if dst, err = appendTime(dst, e.Time); err != nil {
		return dst, err
	}
	if dst, err = appendAttribute(dst, `,"datacontenttype":"`, e.DataContentType); err != nil {
		return dst, err
	}
	return appendAttribute(dst, `,"dataschema":"`, e.DataSchema)
}

// missing names the required attribute that e does not have.
func (e *Event) missing() error {
	if e.ID == "" {
		return fmt.Errorf("%w: id is empty", ErrInvalidEvent)
	}
	return e.Validate()
}

// appendAttribute appends key, which opens the string, value and the closing quote; nothing for an empty value.
func appendAttribute(dst []byte, key, value string) ([]byte, error) {
	if value == "" {
		return dst, nil
	}
	dst = append(dst, key...)
	if plainText(value) {
		return append(append(dst, value...), '"'), nil
	}
	if err := validString(value); err != nil {
		return dst, fmt.Errorf("%w: %s %w", ErrInvalidEvent, strings.Trim(key, `,":`), err)
	}
	return append(appendEscaped(dst, value), '"'), nil
}

// Seconds of 0000-01-01 and 10000-01-01, the bounds of RFC 3339.
const minUnix, endUnix = -62167219200, 253402300800

func appendTime(dst []byte, t time.Time) ([]byte, error) {
	if t.IsZero() {
		return dst, nil
	}
	if s := t.Unix(); s < minUnix || s >= endUnix {
		return dst, fmt.Errorf("%w: time is outside the years 0 to 9999", ErrInvalidEvent)
	}
	dst = append(dst, `,"time":"`...)
	return append(t.UTC().AppendFormat(dst, time.RFC3339Nano), '"'), nil
}

type extension struct{ name, value string }

func appendExtensions(dst []byte, extensions map[string]string) ([]byte, error) {
	var few [8]extension // on the stack: what an event has, as a rule
	sorted := few[:0]
	for name, value := range extensions {
		if bit, _ := attributeBit(name); bit != 0 || name == "" || len(name) > 20 || !lowerAlnum(name) {
			return dst, ValidExtensionName(name)
		}
		sorted = append(sorted, extension{name, value})
	}
	slices.SortFunc(sorted, func(a, b extension) int { return strings.Compare(a.name, b.name) })
	for _, x := range sorted {
		dst = append(append(append(dst, `,"`...), x.name...), `":"`...)
		if !plainText(x.value) {
			if err := validString(x.value); err != nil {
				return dst, fmt.Errorf("%w: %s %w", ErrInvalidEvent, x.name, err)
			}
		}
		dst = append(appendEscaped(dst, x.value), '"')
	}
	return dst, nil
}

// appendData appends the data member in the form that contentType and data call for; nothing for no data.
func appendData(dst []byte, contentType string, data []byte) []byte {
	if len(data) == 0 {
		return dst
	}
	switch dataKind(contentType) {
	case kindJSON:
		if out, ok := appendJSONData(dst, data); ok {
			return out
		}
	case kindText:
		if utf8.Valid(data) {
			return append(appendEscaped(append(dst, `,"data":"`...), data), '"')
		}
	}
	dst = append(dst, `,"data_base64":"`...)
	return append(base64.StdEncoding.AppendEncode(dst, data), '"')
}

// appendJSONData appends data as a JSON value on one line; false if it is not one (or one that is nested too deep).
func appendJSONData(dst, data []byte) ([]byte, bool) {
	s := scanner{text: data}
	s.space()
	start := s.pos
	if s.value(0) != "" {
		return dst, false
	}
	end := s.pos
	s.space()
	if s.pos != len(data) || !utf8.Valid(data) {
		return dst, false
	}
	dst = append(dst, `,"data":`...)
	if s.lines {
		return appendCompact(dst, data[start:end]), true
	}
	return append(dst, data[start:end]...), true
}

type kind int

const (
	kindBinary kind = iota
	kindJSON
	kindText
)

// dataKind says how the JSON format treats data of this content type (JSON event format, section 3.1.1).
func dataKind(contentType string) kind {
	if contentType == "" || contentType == "application/json" {
		return kindJSON
	}
	media, parameters, _ := strings.Cut(contentType, ";")
	major, minor, _ := strings.Cut(strings.TrimSpace(media), "/")
	switch {
	case isOrEndsIn(minor, "json"):
		return kindJSON
	case foreignCharset(parameters):
		return kindBinary
	case strings.EqualFold(major, "text"), isOrEndsIn(minor, "xml"):
		return kindText
	}
	return kindBinary
}

// isOrEndsIn says whether a media subtype is format or ends in its suffix, such as json and senml+json.
func isOrEndsIn(subtype, format string) bool {
	rest := len(subtype) - len(format)
	return rest >= 0 && strings.EqualFold(subtype[rest:], format) && (rest == 0 || subtype[rest-1] == '+')
}

// foreignCharset says whether the parameters of a media type name a character set other than UTF-8 and its subset.
func foreignCharset(parameters string) bool {
	for parameters != "" {
		var one string
		one, parameters, _ = strings.Cut(parameters, ";")
		name, value, _ := strings.Cut(one, "=")
		value = strings.Trim(value, "\" \t")
		if strings.EqualFold(strings.TrimSpace(name), "charset") {
			return !strings.EqualFold(value, "utf-8") && !strings.EqualFold(value, "us-ascii")
		}
	}
	return false
}

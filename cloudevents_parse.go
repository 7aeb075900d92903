package gateway

import (
	"fmt"
	"unicode/utf8"
)

// ParseJSON reads one event in the CloudEvents JSON event format 1.0.2 and nothing after it. It is strict: the required
// attributes are there, specversion is "1.0", no member stands twice, attributes are strings (extensions also booleans
// and 32-bit integers, which are kept in their canonical text), not both data and data_base64; null is as good as
// absent. JSON data is kept as it stands, byte for byte; it may be nested 200 deep. An absent datacontenttype means
// JSON and stays empty. What the event keeps does not refer to data.
//
// The error wraps ErrInvalidEvent and says what is wrong.
func ParseJSON(data []byte) (Event, error) {
	if !utf8.Valid(data) {
		return Event{}, fmt.Errorf("%w: the JSON is not valid UTF-8", ErrInvalidEvent)
	}
	s := scanner{text: data}
	e, err := s.event()
	if err != nil {
		return Event{}, err
	}
	if err := s.end(); err != nil {
		return Event{}, err
	}
	return e, nil
}

// ParseJSONBatch reads events in the CloudEvents JSON batch format 1.0.2 (section 4), each as ParseJSON does: all of
// them or none. The error names the place of the first event that is wrong.
func ParseJSONBatch(data []byte) ([]Event, error) {
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("%w: the JSON is not valid UTF-8", ErrInvalidEvent)
	}
	s := scanner{text: data}
	s.space()
	if !s.take('[') {
		return nil, fmt.Errorf("%w: a batch must be a JSON array", ErrInvalidEvent)
	}
	events := []Event{}
	s.space()
	if s.take(']') {
		return events, s.end()
	}
	for {
		e, err := s.event()
		if err != nil {
			return nil, fmt.Errorf("event %d: %w", len(events)+1, err)
		}
		events = append(events, e)
		s.space()
		if s.take(']') {
			break
		}
		if !s.take(',') {
			return nil, s.wrong("lacks a comma or closing bracket in an array")
		}
	}
	if err := s.end(); err != nil {
		return nil, err
	}
	return events, nil
}

func (s *scanner) wrong(problem string) error {
	return fmt.Errorf("%w: the JSON %s (byte %d)", ErrInvalidEvent, problem, min(s.pos, len(s.text)))
}

// end refuses anything but white space.
func (s *scanner) end() error {
	s.space()
	if s.pos != len(s.text) {
		return s.wrong("goes on after its value")
	}
	return nil
}

// event reads one JSON object as an event.
func (s *scanner) event() (Event, error) {
	s.space()
	if !s.take('{') {
		return Event{}, fmt.Errorf("%w: an event must be a JSON object", ErrInvalidEvent)
	}
	var d draft
	s.space()
	if s.take('}') {
		return d.finish()
	}
	for {
		if err := s.member(&d); err != nil {
			return Event{}, err
		}
		s.space()
		if s.take('}') {
			return d.finish()
		}
		if !s.take(',') {
			return Event{}, s.wrong("lacks a comma or closing brace in an object")
		}
		s.space()
	}
}

// member reads a name and a value into d.
func (s *scanner) member(d *draft) error {
	start := s.pos
	if problem := s.str(); problem != "" {
		return s.wrong(problem)
	}
	name, ok := unquote(s.text[start:s.pos])
	if !ok {
		return s.wrong("has half a surrogate pair in a member's name")
	}
	s.space()
	if !s.take(':') {
		return s.wrong("lacks a colon after a member's name")
	}
	s.space()
	start = s.pos
	if problem := s.value(0); problem != "" {
		return s.wrong(problem)
	}
	return d.set(name, s.text[start:s.pos])
}

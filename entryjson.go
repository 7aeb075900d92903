package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// AppendJSON appends e as one JSON object on one line to dst and returns the longer slice: {"offset":N,"received":"…",
// "event":{…}}, the event as Event.AppendJSON writes it. An event that cannot be written so stands field by field in
// "raw_event" instead, and "why" says what is wrong with it. A time that RFC 3339 has no form for is left out.
func (e *Entry) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"offset":`...)
	dst = strconv.AppendUint(dst, uint64(e.Offset), 10)
	if s := e.Received.Unix(); !e.Received.IsZero() && s >= minUnix && s < endUnix {
		dst = append(dst, `,"received":"`...)
		dst = append(e.Received.UTC().AppendFormat(dst, time.RFC3339Nano), '"')
	}
	out, err := e.Event.AppendJSON(append(dst, `,"event":`...))
	if err != nil {
		why, _ := json.Marshal(err.Error()) // a string always has a form
		out = append(append(dst, `,"why":`...), why...)
		out = append(append(out, `,"raw_event":`...), e.Event.rawJSON()...)
	}
	return append(out, '}')
}

// rawJSON is e field by field, for an event that is no CloudEvent. Broken UTF-8 in its strings becomes U+FFFD.
func (e *Event) rawJSON() []byte {
	raw, err := json.Marshal(e)
	if err != nil { // a time that JSON has no form for
		timeless := *e
		timeless.Time = time.Time{}
		raw, _ = json.Marshal(timeless)
	}
	return raw
}

// ParseEntryJSON reads what Entry.AppendJSON wrote; what the entry keeps does not refer to data.
func ParseEntryJSON(data []byte) (Entry, error) {
	var in struct {
		Offset   Offset          `json:"offset"`
		Received time.Time       `json:"received"`
		Event    json.RawMessage `json:"event"`
		RawEvent *Event          `json:"raw_event"`
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return Entry{}, fmt.Errorf("parse entry: %w", err)
	}
	e := Entry{Offset: in.Offset, Received: in.Received}
	switch {
	case in.RawEvent != nil:
		e.Event = *in.RawEvent
		return e, nil
	case in.Event == nil:
		return Entry{}, errors.New(`parse entry: it has neither "event" nor "raw_event"`)
	}
	var err error
	if e.Event, err = ParseJSON(in.Event); err != nil {
		return Entry{}, fmt.Errorf("parse entry %d: %w", in.Offset, err)
	}
	return e, nil
}

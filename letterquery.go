package gateway

import (
	"encoding/json"
	"fmt"
	"time"
)

// LetterQuery says which dead letters are wanted. The zero LetterQuery wants all.
type LetterQuery struct {
	// Query is about the event, its offset in the log, and the time of the last attempt. Limit, Last and Follow are not looked at.
	Query
	// Forwarder and Class must be equal; "": any.
	Forwarder string `json:"forwarder,omitempty"`
	Class     string `json:"class,omitempty"`
}

// Wants says whether the query wants l.
func (q *LetterQuery) Wants(l *DeadLetter) bool {
	if q.Forwarder != "" && q.Forwarder != l.Forwarder || q.Class != "" && q.Class != l.Class {
		return false
	}
	return q.Query.Wants(&Entry{Offset: l.Offset, Received: l.Last, Event: l.Event})
}

// letterJSON is a dead letter with its event.
type letterJSON struct {
	Letter DeadLetter      `json:"letter"`
	Entry  json.RawMessage `json:"entry"`
}

// AppendJSON appends the letter with its event as JSON, in one line without its end.
func (l *DeadLetter) AppendJSON(dst []byte) []byte {
	e := Entry{Offset: l.Offset, Received: l.Last, Event: l.Event}
	text, err := json.Marshal(letterJSON{*l, e.AppendJSON(nil)})
	if err != nil { // a time that JSON has no form for
		timeless := *l
		timeless.First, timeless.Last, e.Received = time.Time{}, time.Time{}, time.Time{}
		text, _ = json.Marshal(letterJSON{timeless, e.AppendJSON(nil)})
	}
	return append(dst, text...)
}

// ParseLetterJSON reads what AppendJSON wrote.
func ParseLetterJSON(data []byte) (DeadLetter, error) {
	var in letterJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return DeadLetter{}, fmt.Errorf("read a dead letter: %w", err)
	}
	e, err := ParseEntryJSON(in.Entry)
	if err != nil {
		return DeadLetter{}, fmt.Errorf("read the event of a dead letter: %w", err)
	}
	in.Letter.Event = e.Event
	return in.Letter, nil
}

// traceJSON is a trace with its event.
type traceJSON struct {
	Entry      json.RawMessage  `json:"entry"`
	Forwarders []ForwarderTrace `json:"forwarders"`
}

// MarshalJSON implements json.Marshaler.
func (t Trace) MarshalJSON() ([]byte, error) {
	return json.Marshal(traceJSON{t.Entry.AppendJSON(nil), t.Forwarders})
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *Trace) UnmarshalJSON(data []byte) error {
	var in traceJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	var err error
	t.Forwarders = in.Forwarders
	t.Entry, err = ParseEntryJSON(in.Entry)
	return err
}

// Reloaded is what reading the configuration again has changed.
type Reloaded struct {
	// Added, Changed and Removed are names of forwarders and sources that were started, restarted and stopped.
	Added   []string `json:"added,omitempty"`
	Changed []string `json:"changed,omitempty"`
	Removed []string `json:"removed,omitempty"`
	// Restart are the keys that changed and hold from the next start on.
	Restart []string `json:"restart,omitempty"`
}

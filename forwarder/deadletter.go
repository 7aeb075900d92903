package forwarder

import (
	"encoding/json"
	"fmt"
	"time"

	"gateway"
)

// letterBytes and letterCount bound the dead letters of one write: a transaction of the log has a limit.
const (
	letterBytes = 192 << 10
	letterCount = 100
)

// deadLetter is what is kept, as JSON, of an event that can never be delivered, under the key "dead/<forwarder>/<offset, 16 hex digits>".
type deadLetter struct {
	Forwarder    string    `json:"forwarder"`
	Sink         string    `json:"sink"`
	Class        string    `json:"class"`
	Cause        string    `json:"cause"`
	Attempts     int       `json:"attempts"`
	FirstAttempt time.Time `json:"first_attempt"`
	LastAttempt  time.Time `json:"last_attempt"`
	// Event is the CloudEvent, RawEvent one that cannot be written as such, field by field. If either is too large for
	// one write, its JSON is in as many keys as Parts says: this one's with "/1", "/2", … behind it.
	Event    json.RawMessage `json:"event,omitempty"`
	RawEvent json.RawMessage `json:"raw_event,omitempty"`
	Parts    int             `json:"parts,omitempty"`
	// Raw says that the parts are a RawEvent's.
	Raw bool `json:"raw,omitempty"`
}

// letters are as many of dead as one write takes; upTo is how far the matched events are settled with them. parts have to be written before.
func (f *Forwarder) letters(b *batch, dead []casualty, n int) (letters, parts []gateway.KeyValue, upTo int) {
	size := 0
	for i, c := range dead {
		l, p := f.letter(b, c)
		if size += len(l.Value); i > 0 && size > letterBytes || i == letterCount {
			return letters, parts, c.place
		}
		letters, parts = append(letters, l), append(parts, p...)
	}
	return letters, parts, n
}

func (f *Forwarder) letter(b *batch, c casualty) (l gateway.KeyValue, parts []gateway.KeyValue) {
	e := &b.matched[c.place]
	d := deadLetter{
		Forwarder: f.o.Name, Sink: short(f.o.Sink.Name()), Class: c.class(), Cause: short(c.cause.Error()),
		Attempts: b.attempts, FirstAttempt: b.first, LastAttempt: b.last,
	}
	key := letterKey(f.o.Name, e.Offset)
	d.Event, d.RawEvent = eventJSON(&e.Event)
	if body := append(d.Event, d.RawEvent...); len(body) > letterBytes {
		d.Raw = d.RawEvent != nil
		for d.Event, d.RawEvent = nil, nil; len(body) > 0; {
			n := min(len(body), letterBytes)
			d.Parts++
			parts = append(parts, gateway.KeyValue{Key: partKey(key, d.Parts), Value: body[:n]})
			body = body[n:]
		}
	}
	value, err := json.Marshal(d)
	if err != nil { // only the times can be out of range, of a clock that is
		d.FirstAttempt, d.LastAttempt = time.Time{}, time.Time{}
		value, _ = json.Marshal(d)
	}
	return gateway.KeyValue{Key: key, Value: value}, parts
}

func partKey(key string, n int) string { return fmt.Sprintf("%s/%d", key, n) }

// eventJSON is e as a CloudEvent or, if it is none, field by field.
func eventJSON(e *gateway.Event) (event, raw json.RawMessage) {
	event, err := e.AppendJSON(nil)
	if err == nil {
		return event, nil
	}
	raw, err = json.Marshal(e)
	if err != nil { // a time that JSON has no form for
		timeless := *e
		timeless.Time = time.Time{}
		raw, _ = json.Marshal(timeless)
	}
	return nil, raw
}

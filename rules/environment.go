package rules

import (
	"time"
	"unicode/utf8"

	"gateway"
)

// maxString bounds what text is of a payload, and what + makes, in bytes.
const maxString = 64 << 10

// maxWork bounds an evaluation, in bytes looked at and steps of loops. It is counted, not timed, so that every machine
// decides the same; a million takes a Raspberry Pi well under a second even in the slowest regular expression.
const maxWork = 1 << 20

// environment is what the names of a condition stand for. Data, Text and Topic are here for the type checker: the
// rewriter makes calls of them, so that they cost nothing until an evaluation comes by.
type environment struct {
	ID          string            `expr:"id"`
	Source      string            `expr:"source"`
	Type        string            `expr:"type"`
	Subject     string            `expr:"subject"`
	Topic       string            `expr:"topic"`
	Time        time.Time         `expr:"time"`
	ContentType string            `expr:"contenttype"`
	Schema      string            `expr:"schema"`
	Ext         map[string]string `expr:"ext"`
	Data        any               `expr:"data"`
	Text        string            `expr:"text"`
	Size        int               `expr:"size"`

	event  *gateway.Event
	parsed bool // Data is what the payload says
	work   int  // spent in this evaluation
}

func (v *environment) reset(e *gateway.Event) {
	*v = environment{
		ID: e.ID, Source: e.Source, Type: e.Type, Subject: e.Subject, Time: e.Time.UTC(),
		ContentType: e.DataContentType, Schema: e.DataSchema, Ext: e.Extensions, Size: len(e.Data), event: e,
	}
}

// data parses the payload, once.
func (v *environment) data() any {
	if !v.parsed {
		v.parsed, v.Data = true, parsePayload(v.event.Data)
	}
	return v.Data
}

// text is the payload if it is text of a reasonable length.
func (v *environment) text() string {
	if v.Text == "" && len(v.event.Data) <= maxString && utf8.Valid(v.event.Data) {
		v.Text = string(v.event.Data)
	}
	return v.Text
}

// spend counts work; an error ends the evaluation.
func (v *environment) spend(work int) error {
	if v.work += work; v.work > maxWork {
		return failure("it is too much work for this event")
	}
	return nil
}

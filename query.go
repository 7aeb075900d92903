package gateway

import (
	"strings"
	"time"
)

// Query says which events of the log are wanted. The zero Query wants all there are.
type Query struct {
	// From and To are the first and the last offset; 0: the oldest kept, the newest there is now.
	From Offset `json:"from,omitempty"`
	To   Offset `json:"to,omitempty"`
	// Since and Until bound when an event was received; zero: no bound. Until is not part of the span.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// Topics are topic filters, of which one must match; none: every topic.
	Topics []string `json:"topics,omitempty"`
	// Source and Type must be equal, or begin with what stands before a final "*"; "": any.
	Source string `json:"source,omitempty"`
	Type   string `json:"type,omitempty"`
	// Limit is the most events that are given, 0: all. With Last these are the newest of them, otherwise the oldest.
	Limit int  `json:"limit,omitempty"`
	Last  bool `json:"last,omitempty"`
	// Follow goes on with what is appended later, until the caller ends it.
	Follow bool `json:"follow,omitempty"`
}

// Wants says whether the query wants e, apart from its Limit.
func (q *Query) Wants(e *Entry) bool {
	switch {
	case e.Offset < q.From, q.To != 0 && e.Offset > q.To:
		return false
	case !q.Since.IsZero() && e.Received.Before(q.Since), !q.Until.IsZero() && !e.Received.Before(q.Until):
		return false
	case !wildcard(q.Source, e.Event.Source), !wildcard(q.Type, e.Event.Type):
		return false
	}
	if len(q.Topics) == 0 {
		return true
	}
	topic := e.Event.Topic()
	for _, filter := range q.Topics {
		if MatchTopic(filter, topic) {
			return true
		}
	}
	return false
}

func wildcard(want, have string) bool {
	if prefix, ok := strings.CutSuffix(want, "*"); ok {
		return strings.HasPrefix(have, prefix)
	}
	return want == "" || want == have
}

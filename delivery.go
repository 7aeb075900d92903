package gateway

import "time"

// DeadLetter is an event that a forwarder set aside, with what is known of why.
type DeadLetter struct {
	Forwarder string `json:"forwarder"`
	// Offset is the event's in the log.
	Offset Offset `json:"offset"`
	// Sink is where it was not delivered to.
	Sink string `json:"sink"`
	// Class is one of the Dead constants, Cause what was said.
	Class    string    `json:"class"`
	Cause    string    `json:"cause"`
	Attempts int       `json:"attempts"`
	First    time.Time `json:"first_attempt,omitzero"`
	Last     time.Time `json:"last_attempt,omitzero"`
	Event    Event     `json:"-"`
}

// Classes of dead letters.
const (
	DeadRefused = "refused" // the sink can never take it
	DeadExpired = "expired" // it was not worth delivering any more
	DeadPoison  = "poison"  // it failed time and again while others got through
	DeadUnknown = "unknown" // it was begun, and nobody knows whether it was carried out
)

// TypeOutcome is the type of the event that says what became of another: its data is an Outcome as JSON, and
// TopicOutcome its subject.
const (
	TypeOutcome  = "gateway.outcome"
	TopicOutcome = "gateway/outcome"
)

// TypeProbe is the type of an event that says nothing: a forwarder that suspects an event of breaking the line, and has delivered nothing yet that it
// could send again, finds out with it whether anything gets through. TopicProbe is its subject. It is in no log.
const (
	TypeProbe  = "gateway.probe"
	TopicProbe = "gateway/probe"
)

// Outcome is what a forwarder did with an event.
type Outcome struct {
	// ID and Source are the event's, Offset its place in the log.
	ID     string `json:"id"`
	Source string `json:"source"`
	Topic  string `json:"topic"`
	Offset Offset `json:"offset"`
	// Forwarder and Sink are who dealt with it.
	Forwarder string `json:"forwarder"`
	Sink      string `json:"sink"`
	// Result is OutcomeDelivered, or one of the Dead constants; Cause is why, "" if it was delivered.
	Result string `json:"result"`
	Cause  string `json:"cause,omitempty"`
}

// OutcomeDelivered is the result of an event that arrived.
const OutcomeDelivered = "delivered"

// Replay is what is to be delivered once more: the events of a part of the log that match.
type Replay struct {
	// From and To are the first and the last offset.
	From Offset `json:"from"`
	To   Offset `json:"to"`
	// Since and Until bound when an event was received, Until not included; zero: no bound. Each event is looked at: times need not rise with offsets.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// Match are topic filters, none for all, and Where is a further condition, as of a route.
	Match []string `json:"match,omitempty"`
	Where string   `json:"where,omitempty"`
	// Rate bounds it, in events a second; 0 is no bound of its own: the forwarder's budget holds.
	Rate int64 `json:"rate,omitempty"`
	// NewIDs gives the events other IDs, for a receiver that would swallow those it knows: the old one, "+" and the replay's.
	NewIDs bool `json:"new_ids,omitempty"`
}

// States of a replay.
const (
	ReplayWaiting   = "waiting" // for another one, or for the forwarder to run
	ReplayRunning   = "running"
	ReplayPaused    = "paused"
	ReplayDone      = "done"
	ReplayCancelled = "cancelled"
)

// ReplayStatus is how far a replay is. The counts are exact but for a crash, behind which up to a second of them is counted again.
type ReplayStatus struct {
	Replay
	ID        string    `json:"id"`
	Forwarder string    `json:"forwarder"`
	State     string    `json:"state"`
	Created   time.Time `json:"created"`
	Ended     time.Time `json:"ended,omitzero"`
	// At is the last offset that was dealt with.
	At Offset `json:"at"`
	// Delivered, Duplicates (delivered, and known to the receiver by its own words), Skipped (no match) and DeadLettered are events.
	Delivered    uint64 `json:"delivered"`
	Duplicates   uint64 `json:"duplicates"`
	Skipped      uint64 `json:"skipped"`
	DeadLettered uint64 `json:"dead_lettered"`
}

// Trace is what is known of an event's way.
type Trace struct {
	Entry Entry `json:"-"`
	// Forwarders are all that run.
	Forwarders []ForwarderTrace `json:"forwarders"`
}

// What a forwarder did with an event.
const (
	TraceDelivered = "delivered" // settled, and neither of the next two
	TraceDead      = "dead letter"
	TraceSkipped   = "not wanted" // no route takes it
	TraceWaiting   = "waiting"
)

// ForwarderTrace is what a forwarder did with an event.
type ForwarderTrace struct {
	Forwarder string `json:"forwarder"`
	Sink      string `json:"sink"`
	// State is one of the Trace constants.
	State string `json:"state"`
	// Route is the number of the route that takes it, from 1; 0 where none does or there are none. Lane is where it waits.
	Route int    `json:"route,omitempty"`
	Lane  string `json:"lane,omitempty"`
	// Ahead is how many offsets its lane has to deal with before it.
	Ahead uint64 `json:"ahead,omitempty"`
	// Why is why it is not delivered: what the forwarder waits for, or the last error.
	Why string `json:"why,omitempty"`
	// Attempts are those of this run that had the event in them, the newest last; older ones are not kept.
	Attempts []Attempt `json:"attempts,omitempty"`
	// Letter is the dead letter, if there is one.
	Letter *DeadLetter `json:"letter,omitempty"`
}

// Attempt is one call of a sink.
type Attempt struct {
	Lane string        `json:"lane"`
	At   time.Time     `json:"at"`
	Took time.Duration `json:"took_ns"`
	// From and To are the first and the last offset that were sent, Events how many, Settled those of them that were dealt with.
	From    Offset `json:"from"`
	To      Offset `json:"to"`
	Events  int    `json:"events"`
	Settled int    `json:"settled"`
	// Answer is what the sink said, "" for success.
	Answer string `json:"answer,omitempty"`
}

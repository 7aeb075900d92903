package gateway

import (
	"encoding/json"
	"fmt"
	"time"
)

// TypeGap is the type of the event that stands, for a reader of the log, where events are missing. Its data is the Gap
// as JSON, and TopicGap its subject. Every forwarder sends it, whatever its filters: nobody knows what was lost.
const (
	TypeGap  = "gateway.gap"
	TopicGap = "gateway/gap"
)

// Reasons of gaps.
const (
	LostFull   = "full"    // when_full: drop_oldest made room
	LostAge    = "max_age" // older than max_age
	LostDamage = "damage"  // could not be read any more
)

// Gap is a hole in the log: events that were there, and that a consumer will never see.
type Gap struct {
	// From and To are the first and the last offset that are gone.
	From Offset `json:"from"`
	To   Offset `json:"to"`
	// Reason is one of the Lost constants.
	Reason string `json:"reason"`
	// Since and Until are when the first and the last of them were received, as far as that is known; zero if not.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// Noticed is when the log wrote the gap down.
	Noticed time.Time `json:"noticed,omitzero"`
}

// Count is how many offsets are gone.
func (g Gap) Count() uint64 { return uint64(g.To-g.From) + 1 }

// Entry is the gap as what a reader meets in place of the events: at the offset To, so that who settles it is past the
// gap. logID and epoch are the log's; source is who says so. The same gap has the same ID every time.
func (g Gap) Entry(logID string, epoch uint32, source string) (Entry, error) {
	data, err := json.Marshal(struct {
		Gap
		Count uint64 `json:"count"`
	}{g, g.Count()})
	if err != nil { // a time that JSON has no form for
		return Entry{}, fmt.Errorf("gap %d-%d: %w", g.From, g.To, err)
	}
	return Entry{Offset: g.To, Received: g.Noticed, Event: Event{
		ID:     fmt.Sprintf("%s.%d-gap-%d-%d", logID, epoch, g.From, g.To),
		Source: source, Type: TypeGap, Subject: TopicGap, Time: g.Noticed,
		DataContentType: "application/json", Data: data,
	}}, nil
}

package forwarder

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"

	"gateway"
)

// outcomes are the events that say what became of the matched events of b from up to (without) upTo; dead are those of them that were set aside.
// What an outcome or a gap becomes is not told: there would be no end to it.
func (f *Forwarder) outcomes(b *batch, dead []casualty, from, upTo int) (events []gateway.Event) {
	if !f.o.Outcomes {
		return nil
	}
	for i := from; i < upTo; i++ {
		result, cause := gateway.OutcomeDelivered, ""
		if len(dead) > 0 && dead[0].place == i {
			result, cause = dead[0].class(), dead[0].cause.Error()
			dead = dead[1:]
		}
		e := &b.matched[i]
		if e.Event.Type == gateway.TypeOutcome || isGap(&e.Event) {
			continue
		}
		data, err := json.Marshal(gateway.Outcome{
			ID: short(e.Event.ID), Source: short(e.Event.Source), Topic: short(e.Event.Topic()), Offset: e.Offset,
			Forwarder: f.o.Name, Sink: short(f.o.Sink.Name()), Result: result, Cause: short(cause),
		})
		if err != nil {
			continue // there is nothing in it that JSON has no form for
		}
		events = append(events, gateway.Event{
			Source: f.source(), Type: gateway.TypeOutcome, Subject: gateway.TopicOutcome,
			DataContentType: "application/json", Data: data,
		})
	}
	return events
}

// source is the CloudEvents source of the forwarder's own events.
func (f *Forwarder) source() string { return "//" + url.PathEscape(f.o.ID) + "/forwarder/" + f.o.Name }

const (
	// outcomeBytes and outcomeCount bound the outcomes of one write, and outcomeText a text in one of them.
	outcomeBytes = 64 << 10
	outcomeCount = 100
	outcomeText  = 1 << 10
)

// tellMost writes outcomes down but for the last of them, which go with what settles the events: a write has a bound.
func (f *Forwarder) tellMost(ctx context.Context, outcomes []gateway.Event) (rest []gateway.Event, err error) {
	for first, bytes, i := 0, 0, 0; i < len(outcomes); i++ {
		bytes += sizeOf(&gateway.Entry{Event: outcomes[i]})
		if i == len(outcomes)-1 {
			return outcomes[first:], nil
		}
		if bytes > outcomeBytes || i-first+1 == outcomeCount {
			if err := f.write(ctx, gateway.Batch{Events: outcomes[first : i+1]}); err != nil {
				return nil, err
			}
			first, bytes = i+1, 0
		}
	}
	return outcomes, nil
}

// short cuts a text off that would make an outcome, or a dead letter, too large for the log: a device can make them as long as it likes.
func short(text string) string {
	if len(text) > outcomeText {
		return strings.ToValidUTF8(text[:outcomeText], "") + "…"
	}
	return text
}

// outcomesLost counts outcomes that a full log did not take.
func (f *Forwarder) outcomesLost(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.status.OutcomesLost == 0 {
		f.o.Logger.Warn("the log is full: what became of events is not told upstream", "events", n)
	}
	f.status.OutcomesLost += uint64(n)
}

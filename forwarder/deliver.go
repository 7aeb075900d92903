package forwarder

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gateway"
)

// batch is what is delivered together, and how far it has come.
type batch struct {
	entries  []gateway.Entry // as read
	matched  []gateway.Entry // those for the sink; entries itself if all are
	settled  int             // of entries
	attempts int             // of Send with what is left
	first    time.Time       // the first attempt
	last     time.Time       // the last attempt
}

// deliver sends entries until all are settled, or ctx has ended. Its error is the log's.
func (f *Forwarder) deliver(ctx, sending context.Context, entries []gateway.Entry) error {
	b := &batch{entries: entries, matched: f.match(entries)}
	if len(b.matched) == 0 {
		return f.skip(ctx, b)
	}
	for len(b.matched) > 0 && ctx.Err() == nil {
		b.last = time.Now()
		if b.attempts == 0 {
			b.first = b.last
		}
		b.attempts++
		err := f.o.Sink.Send(sending, b.matched)
		n, dead, cause := outcome(b.matched, err)
		stopped := cause != nil && sending.Err() != nil // shutdown is not an attempt
		if !stopped {
			f.attempted(cause, len(b.matched)-n)
		}
		if n > 0 {
			f.backoff.progress()
			if err := f.settle(ctx, b, n, dead); err != nil {
				return err
			}
		}
		if stopped || cause != nil && !pause(ctx, f.backoff.after(cause)) {
			break
		}
	}
	return nil
}

// match returns the entries that are for the sink.
func (f *Forwarder) match(entries []gateway.Entry) []gateway.Entry {
	if len(f.o.Match) == 0 {
		return entries
	}
	var matched []gateway.Entry
	for i := range entries {
		if entries[i].Event.Type == gateway.TypeGap && entries[i].Event.Subject == gateway.TopicGap {
			matched = append(matched, entries[i]) // what was lost may have matched
			continue
		}
		topic := entries[i].Event.Topic()
		for _, filter := range f.o.Match {
			if gateway.MatchTopic(filter, topic) {
				matched = append(matched, entries[i])
				break
			}
		}
	}
	return matched
}

// casualty is an event that can never be delivered.
type casualty struct {
	place int // among the matched
	cause error
}

// outcome reads what Send returned for sent: the first n are settled, dead among them; cause is why the next is not.
func outcome(sent []gateway.Entry, err error) (n int, dead []casualty, cause error) {
	if err == nil {
		return len(sent), nil, nil
	}
	var parts *gateway.BatchError
	if !errors.As(err, &parts) {
		if !errors.Is(err, gateway.ErrPermanent) {
			return 0, nil, err
		}
		for place := range sent {
			dead = append(dead, casualty{place, err})
		}
		return len(sent), dead, nil
	}
	if len(parts.Errors) != len(sent) {
		return 0, nil, fmt.Errorf("the sink answered for %d of %d events: %w", len(parts.Errors), len(sent), err)
	}
	for place, err := range parts.Errors {
		if err != nil && !errors.Is(err, gateway.ErrPermanent) {
			return place, dead, err
		}
		if err != nil {
			dead = append(dead, casualty{place, err})
		}
	}
	return len(sent), dead, nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gateway"
	"gateway/admin"
	"gateway/forwarder"
)

// control is what can be done about delivery while the gateway runs. It implements admin.Delivery.
type control struct{ *instance }

// Letters implements admin.Delivery.
func (c control) Letters(q gateway.LetterQuery, fn func(gateway.DeadLetter) error) error {
	return wantedLetters(c.log, q, fn)
}

// wantedLetters calls fn with the dead letters of log that q wants.
func wantedLetters(log forwarder.Scanner, q gateway.LetterQuery, fn func(gateway.DeadLetter) error) error {
	return forwarder.Letters(log, q.Forwarder, func(l gateway.DeadLetter) error {
		if !q.Wants(&l) {
			return nil
		}
		return fn(l)
	})
}

// letterVerb is forwarder.DropLetters or forwarder.RequeueLetters.
type letterVerb func(ctx context.Context, log forwarder.Committer, name string, which func(*gateway.DeadLetter) bool) (int, error)

// eachForwarder does what verb does for the letters that q wants, one forwarder after the other.
func eachForwarder(ctx context.Context, log forwarder.Committer, q gateway.LetterQuery, verb letterVerb, then func(name string)) (n int, err error) {
	var names []string
	if err := wantedLetters(log, q, func(l gateway.DeadLetter) error {
		if !slices.Contains(names, l.Forwarder) {
			names = append(names, l.Forwarder)
		}
		return nil
	}); err != nil {
		return 0, err
	}
	for _, name := range names {
		done, err := verb(ctx, log, name, q.Wants)
		n += done
		then(name)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// poke tells the forwarder that its dead letters have changed.
func (c control) poke(name string) {
	if f := c.fleet.named(name); f != nil {
		f.Poke()
	}
}

// Requeue implements admin.Delivery.
func (c control) Requeue(ctx context.Context, q gateway.LetterQuery) (int, error) {
	if err := wantedLetters(c.log, q, func(l gateway.DeadLetter) error {
		if _, err := c.running(l.Forwarder); err != nil {
			return fmt.Errorf("nobody would deliver them: %w", err)
		}
		return nil
	}); err != nil {
		return 0, err
	}
	return eachForwarder(ctx, c.log, q, forwarder.RequeueLetters, c.poke)
}

// Drop implements admin.Delivery.
func (c control) Drop(ctx context.Context, q gateway.LetterQuery) (int, error) {
	return eachForwarder(ctx, c.log, q, forwarder.DropLetters, c.poke)
}

// running is the forwarder of that name; the error lists those that there are.
func (c control) running(name string) (*forwarder.Forwarder, error) {
	if f := c.fleet.named(name); f != nil {
		return f, nil
	}
	var names []string
	for _, f := range c.fleet.all() {
		names = append(names, f.Status().Name)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("forwarder %q: %w: the configuration has none", name, admin.ErrUnknown)
	}
	return nil, fmt.Errorf("forwarder %q: %w: there are %s", name, admin.ErrUnknown, strings.Join(names, ", "))
}

// Replay implements admin.Delivery.
func (c control) Replay(ctx context.Context, r admin.ReplayRequest) (gateway.ReplayStatus, error) {
	f, err := c.running(r.Forwarder)
	if err != nil {
		return gateway.ReplayStatus{}, err
	}
	what := gateway.Replay{From: r.Query.From, To: r.Query.To, Match: r.Query.Topics, Where: r.Where, Rate: r.Rate, NewIDs: r.NewIDs}
	log := forwarderLog{c.log}
	if !r.Query.Since.IsZero() {
		at, err := forwarder.Before(ctx, log, r.Query.Since)
		if err != nil {
			return gateway.ReplayStatus{}, err
		}
		what.From = max(what.From, at+1)
	}
	if !r.Query.Until.IsZero() {
		at, err := forwarder.Before(ctx, log, r.Query.Until)
		if err != nil {
			return gateway.ReplayStatus{}, err
		}
		if what.To == 0 || at < what.To {
			what.To = at
		}
		if what.To == 0 {
			return gateway.ReplayStatus{}, errors.New("the log has no event from before that time")
		}
	}
	return f.Replay(ctx, what)
}

// TurnReplay implements admin.Delivery.
func (c control) TurnReplay(ctx context.Context, name, id, action string) (gateway.ReplayStatus, error) {
	f, err := c.running(name)
	if err != nil {
		return gateway.ReplayStatus{}, err
	}
	switch action {
	case admin.ReplayPause:
		return f.PauseReplay(ctx, id)
	case admin.ReplayResume:
		return f.ResumeReplay(ctx, id)
	case admin.ReplayCancel:
		return f.CancelReplay(ctx, id)
	}
	return gateway.ReplayStatus{}, fmt.Errorf("%q is nothing that can be done with a replay: %w", action, admin.ErrUnknown)
}

// Trace implements admin.Delivery.
func (c control) Trace(ctx context.Context, event string) (gateway.Trace, error) {
	e, err := findEvent(ctx, readableLog{c.log}, event)
	if err != nil {
		return gateway.Trace{}, err
	}
	t := gateway.Trace{Entry: e, Forwarders: []gateway.ForwarderTrace{}}
	for _, f := range c.fleet.all() {
		ft, err := f.Trace(&e)
		if err != nil {
			return t, err
		}
		t.Forwarders = append(t.Forwarders, ft)
	}
	return t, nil
}

// findEvent finds an event by its offset, or by its ID: one that the log gave has the offset in it, another one is looked for from the
// oldest on, and the newest of that ID is taken.
func findEvent(ctx context.Context, log admin.EventLog, event string) (e gateway.Entry, err error) {
	if offset, err := strconv.ParseUint(event, 10, 64); err == nil {
		if e, err := admin.Event(ctx, log, gateway.Offset(offset)); err == nil || !errors.Is(err, admin.ErrNoEvent) {
			return e, err
		}
	}
	if _, text, ok := strings.Cut(event, "-"); ok {
		if offset, err := strconv.ParseUint(text, 10, 64); err == nil {
			if e, err := admin.Event(ctx, log, gateway.Offset(offset)); err == nil && e.Event.ID == event {
				return e, nil
			}
		}
	}
	found := false
	err = admin.Events(ctx, log, gateway.Query{}, func(entry gateway.Entry) error {
		if entry.Event.ID == event {
			e, found = entry, true
		}
		return nil
	})
	if err == nil && !found {
		err = fmt.Errorf("%w with the ID or offset %q: it never came, is outside of mqtt.capture, or every forwarder was past it and its room was used again", admin.ErrNoEvent, event)
	}
	return e, err
}

// Forget implements admin.Delivery.
func (c control) Forget(ctx context.Context, name string) error {
	c.reloading.Lock() // it may be about to come back
	defer c.reloading.Unlock()
	if c.fleet.named(name) != nil {
		return fmt.Errorf("forwarder %s is in the configuration: take it out of the file and reload first", name)
	}
	if err := c.fleet.forget(ctx, name); err != nil {
		if errors.Is(err, errNoPlace) {
			return fmt.Errorf("forwarder %q: %w: %w", name, admin.ErrUnknown, err)
		}
		return err
	}
	return nil
}

// Reload implements admin.Delivery.
func (c control) Reload(context.Context) (gateway.Reloaded, error) {
	started := time.Now()
	r, err := c.reload()
	if err != nil {
		c.logger.Error("the configuration was read again, and is not used: all goes on as before", "error", err)
		return r, err
	}
	c.logger.Info("the configuration was read again", "added", r.Added, "changed", r.Changed, "removed", r.Removed,
		"restart_needed_for", r.Restart, "took", time.Since(started).Round(time.Millisecond))
	return r, nil
}

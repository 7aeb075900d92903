package forwarder

import (
	"errors"
	"fmt"

	"gateway"
)

// casualty is an event that is never delivered.
type casualty struct {
	place int // among the matched
	cause error
}

func (c *casualty) class() string {
	var poison *errPoison
	switch {
	case errors.Is(c.cause, gateway.ErrExpired):
		return gateway.DeadExpired
	case errors.Is(c.cause, gateway.ErrUnknown):
		return gateway.DeadUnknown
	case errors.As(c.cause, &poison):
		return gateway.DeadPoison
	}
	return gateway.DeadRefused
}

// outcome reads what Send returned for sent: the first n are settled, dead among them; cause is why the next is not.
func outcome(sent []gateway.Entry, err error) (n int, dead []casualty, cause error) {
	if err == nil {
		return len(sent), nil, nil
	}
	if errors.Is(err, gateway.ErrDuplicate) {
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
		if errors.Is(err, gateway.ErrDuplicate) {
			continue // it is there
		}
		if err != nil && !errors.Is(err, gateway.ErrPermanent) {
			return place, dead, err
		}
		if err != nil {
			dead = append(dead, casualty{place, err})
		}
	}
	return len(sent), dead, nil
}

// known is how many of the first n events, which are settled, the receiver had already, by what Send returned.
func known(err error, n int) (count int) {
	var parts *gateway.BatchError
	if !errors.As(err, &parts) {
		if errors.Is(err, gateway.ErrDuplicate) {
			return n
		}
		return 0
	}
	for _, err := range parts.Errors[:min(n, len(parts.Errors))] {
		if errors.Is(err, gateway.ErrDuplicate) {
			count++
		}
	}
	return count
}

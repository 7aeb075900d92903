package gateway

import (
	"errors"
	"fmt"
	"time"
)

// The classes of errors between a sink and its forwarder. An error of no class is retried for ever, with backoff.
var (
	// ErrFull says that the log has no room. The source withholds its acknowledgement and tries again.
	ErrFull = errors.New("the log is full")
	// ErrClosed says that the log, broker or sink was closed. Nothing was taken.
	ErrClosed = errors.New("closed")
	// ErrPermanent marks an error as "this event, as it is, can never be accepted": it goes to the dead letters. See Permanent.
	ErrPermanent = errors.New("permanent")
	// ErrBlocked marks an error as the endpoint's (credentials, certificate, name, address): events are kept, and a person must look. See Blocked.
	ErrBlocked = errors.New("endpoint blocked")
	// ErrExpired, within a permanent error, says that the event was too old to be worth delivering.
	ErrExpired = errors.New("expired")
	// ErrUnknown, within a permanent error, says that an action was begun, and that nobody knows whether it was carried out. It is not repeated.
	ErrUnknown = errors.New("outcome unknown")
	// ErrUnsent marks a failure before anything of the batch went out: it has cost nothing of a budget.
	ErrUnsent = errors.New("nothing was sent")
	// ErrDuplicate marks the answer of a receiver that has the event already: it is delivered, and counted as such.
	ErrDuplicate = errors.New("duplicate")
)

// classed is err with a class that errors.Is finds and no text of its own.
type classed struct{ err, class error }

func (c classed) Error() string   { return c.err.Error() }
func (c classed) Unwrap() []error { return []error{c.err, c.class} }

// Permanent marks err: the event that it is about, resent as it is, can never succeed. nil stays nil.
func Permanent(err error) error { return classify(err, ErrPermanent) }

// Blocked marks err: the endpoint refuses us, whatever the event. nil stays nil.
func Blocked(err error) error { return classify(err, ErrBlocked) }

// Unsent marks err: nothing of the batch went out. nil stays nil.
func Unsent(err error) error { return classify(err, ErrUnsent) }

func classify(err, class error) error {
	if err == nil {
		return nil
	}
	return classed{err, class}
}

// RetryAfter is an error of an endpoint that says when to come again. It is not a failure of the event or the link.
type RetryAfter struct {
	After time.Duration
	Err   error
}

func (r *RetryAfter) Error() string { return fmt.Sprintf("%v (again in %s)", r.Err, r.After) }

// Unwrap returns the cause.
func (r *RetryAfter) Unwrap() error { return r.Err }

// BatchError is what a Sink returns for a batch that was delivered in part.
type BatchError struct {
	// Errors has one element for each event of the batch: nil where it was delivered.
	Errors []error
}

func (b *BatchError) Error() string {
	failed, first := 0, error(nil)
	for _, err := range b.Errors {
		if err == nil {
			continue
		}
		if first == nil {
			first = err
		}
		failed++
	}
	return fmt.Sprintf("%d of %d events not delivered: %v", failed, len(b.Errors), first)
}

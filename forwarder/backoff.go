package forwarder

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"gateway"
)

// backoff is the wait between attempts.
type backoff struct {
	min, max time.Duration
	failures int // in a row, without progress
}

// mostAsked is the longest that an endpoint is given what it asks for.
const mostAsked = time.Hour

// after is the wait after the failure err: what the endpoint asked for; about max where it refuses us; else anything
// from 0 to a ceiling that doubles with each failure ("full jitter", which keeps a fleet from coming back at once).
func (b *backoff) after(err error) time.Duration {
	var asked *gateway.RetryAfter
	if errors.As(err, &asked) {
		return min(max(asked.After, b.min), mostAsked)
	}
	if errors.Is(err, gateway.ErrBlocked) {
		return b.max/2 + rand.N(b.max-b.max/2+1)
	}
	ceiling := b.min
	for range b.failures {
		if ceiling >= b.max/2 {
			ceiling = b.max
			break
		}
		ceiling *= 2
	}
	b.failures++
	return rand.N(ceiling + 1)
}

// progress says that something was delivered.
func (b *backoff) progress() { b.failures = 0 }

// pause waits for d. It returns false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

package mqttsource

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"gateway"
)

// steady is how long a connection has to last before the next failure counts as the first. A shorter one may be that of
// two clients with the same id, which take the session from each other.
const steady = 10 * time.Second

// backoff is the wait between connections.
type backoff struct {
	min, max time.Duration
	failures int // in a row
}

// after is the wait after the failure err of a connection that lasted so long: about max where the broker refuses us, else
// anything from 0 to a ceiling that doubles with each failure ("full jitter").
func (b *backoff) after(err error, lasted time.Duration) time.Duration {
	if errors.Is(err, gateway.ErrBlocked) {
		return b.max/2 + rand.N(b.max-b.max/2+1)
	}
	if lasted >= min(steady, b.max) {
		b.failures = 0
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

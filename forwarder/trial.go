package forwarder

import (
	"errors"

	"gateway"
)

// trial finds the event that a batch fails over. After some failures without any progress a batch is a quarter with each further
// one, until an event stands alone; what succeeds doubles it again. An event that fails alone is poison only if, time and again,
// another event gets through right after it: a link that is merely down lets nothing through.
type trial struct {
	at          gateway.Offset // the first event that it is about
	size        int            // how many events are sent at once; 0: as many as there are
	failures    int            // in a row
	alone       int            // of the event that stands alone
	convictions int            // how often another event got through after that
	due         bool           // another event is to be tried now
	cause       error          // of the last failure alone
}

const (
	// bisectAfter failures in a row a batch gets smaller, poisonAfter failures alone another event is tried, and after
	// poisonConvictions of those that got through the event is poison.
	bisectAfter       = 3
	poisonAfter       = 3
	poisonConvictions = 3
)

// about says which event is the first of the batch: what is known of another one is no charge against it.
func (t *trial) about(at gateway.Offset) {
	if t.at != at {
		*t = trial{at: at, size: t.size}
	}
}

// limit is how many of n events may be sent at once.
func (t *trial) limit(n int) int {
	if t.size == 0 {
		return n
	}
	return min(n, t.size)
}

// progressed says that something was settled, of a batch that may have up to max.
func (t *trial) progressed(max int) {
	t.failures, t.alone, t.convictions, t.due, t.cause = 0, 0, 0, false, nil
	if t.size *= 2; t.size >= max {
		t.size = 0
	}
}

// failed says that n events were sent at once and nothing was settled, for the reason cause.
func (t *trial) failed(n int, cause error) {
	if !suspicious(cause) {
		return
	}
	t.failures++
	if n == 1 {
		t.alone++
		t.size, t.cause = 1, cause
		t.due = t.alone >= poisonAfter
		return
	}
	if t.failures >= bisectAfter {
		t.size = max(n/4, 1)
	}
}

// refused says that n events were refused as a whole, for ever.
func (t *trial) refused(n int) { t.size = max(n/2, 1) }

// on says that it is being found out which event is to blame: nothing else may be sent meanwhile, lest it fails for it or it for that.
func (t *trial) on() bool { return t.failures >= bisectAfter }

// probes says that it is time to try another event.
func (t *trial) probes() bool { return t.due }

// unprobed says that there is nothing to try.
func (t *trial) unprobed() { t.due, t.alone = false, 0 }

// probed takes the outcome in, and says whether the event that stands alone is poison.
func (t *trial) probed(through bool) (poison bool) {
	t.due = false
	t.alone = poisonAfter - 1 // once more, and the next probe
	if !through {
		t.convictions = 0
		t.alone = 0
		return false
	}
	t.convictions++
	return t.convictions >= poisonConvictions
}

// suspicious says whether a failure may be an event's: not if nothing went out, the endpoint refuses us, or it asks us to wait.
func suspicious(cause error) bool {
	var wait *gateway.RetryAfter
	return !errors.Is(cause, gateway.ErrBlocked) && !errors.Is(cause, gateway.ErrUnsent) && !errors.As(cause, &wait)
}

// errPoison is the cause of a dead letter: err is what the event did each time.
type errPoison struct{ err error }

func (e *errPoison) Error() string {
	return "poison: it fails while others get through: " + e.err.Error()
}

func (e *errPoison) Unwrap() error { return e.err }

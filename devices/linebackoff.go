package devices

import (
	"math/rand/v2"
	"time"
)

// The wait between attempts to open a line grows from retryMin to retryMax, and is short again after it worked for retryMax.
const (
	retryMin = time.Second
	retryMax = time.Minute
)

// lineBackoff is the wait between attempts to open a line.
type lineBackoff struct{ next time.Duration }

// after is the wait after a line that worked for that long: between a half and the whole of a time that doubles.
func (b *lineBackoff) after(worked time.Duration) time.Duration {
	if b.next == 0 || worked >= retryMax {
		b.next = retryMin
	}
	wait := b.next
	b.next = min(2*wait, retryMax)
	return wait/2 + rand.N(wait/2+1)
}

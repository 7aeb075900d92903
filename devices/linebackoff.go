package devices

import (
	"math/rand/v2"
	"time"
)

// The wait between attempts to open a line grows from reopenMin to reopenMax, and is short again after it worked for reopenMax.
const (
	reopenMin = time.Second
	reopenMax = time.Minute
)

// lineBackoff is the wait between attempts to open a line.
type lineBackoff struct{ next time.Duration }

// after is the wait after a line that worked for that long: between a half and the whole of a time that doubles.
func (b *lineBackoff) after(worked time.Duration) time.Duration {
	if b.next == 0 || worked >= reopenMax {
		b.next = reopenMin
	}
	wait := b.next
	b.next = min(2*wait, reopenMax)
	return wait/2 + rand.N(wait/2+1)
}

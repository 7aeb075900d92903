package devices

import "time"

const (
	// sameClock is by how much two looks at the clocks may differ without either having been set.
	sameClock = time.Millisecond
	// clockSetYear is the first year that a clock which was set can show.
	clockSetYear = 2000
)

// edgeClock makes wall time of the kernel's monotonic clock. It belongs to one goroutine.
//
// Both clocks run at the same pace, so what is between them changes only when somebody sets the wall clock: within sameClock it is left as it is, so that the
// time between two edges is the kernel's to the nanosecond.
type edgeClock struct {
	mono func() time.Duration
	zero time.Time // the wall time of the monotonic clock's 0
}

// look compares the clocks anew. Of three looks it believes the one that took the shortest time, since it may be interrupted in between.
func (c *edgeClock) look() {
	best, zero := time.Duration(1<<62), time.Time{}
	for range 3 {
		before := c.mono()
		wall := time.Now().Round(0)
		after := c.mono()
		if took := after - before; took < best {
			best, zero = took, wall.Add(-before-took/2)
		}
	}
	if step := zero.Sub(c.zero); c.zero.IsZero() || step > sameClock || step < -sameClock {
		c.zero = zero
	}
}

// at is the wall time of a moment. It is zero, so that the log gives its own time and puts that right later, where the wall clock was never set.
func (c *edgeClock) at(moment time.Duration) time.Time {
	t := c.zero.Add(moment)
	if t.Year() < clockSetYear {
		return time.Time{}
	}
	return t.UTC()
}

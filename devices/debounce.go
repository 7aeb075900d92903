package devices

import (
	"time"

	"gateway/devices/gpiochip"
)

// debouncer is for lines that the kernel does not debounce: a level counts when it has held for a time. Like the kernel's, its edges carry the time at
// which they had held. It goes by the edges' own times, so that it does not matter when they are looked at.
type debouncer struct {
	hold    time.Duration
	on      bool           // the level that counts
	edge    gpiochip.Event // the newest of the line,
	waiting bool           // which has not held long enough yet
}

// next takes an edge of the line, and returns the one that had settled before it, if one had.
func (d *debouncer) next(e gpiochip.Event) (settled gpiochip.Event, ok bool) {
	settled, ok = d.settle(e.At)
	d.edge, d.waiting = e, true
	return settled, ok
}

// settle returns the edge that has settled by now, if no other came after it.
func (d *debouncer) settle(now time.Duration) (settled gpiochip.Event, ok bool) {
	if !d.waiting || now < d.due() {
		return settled, false
	}
	d.waiting = false
	if d.edge.Rising == d.on {
		return settled, false
	}
	d.on = d.edge.Rising
	settled = d.edge
	settled.At = d.due()
	return settled, true
}

// due is when the newest edge settles.
func (d *debouncer) due() time.Duration { return d.edge.At + d.hold }

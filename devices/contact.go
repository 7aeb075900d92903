package devices

import (
	"time"

	"gateway/devices/gpiochip"
)

// Values of "edge" in the data of a device.input, besides EdgesRising and EdgesFalling.
const (
	inputStart     = "start"     // the level when the line was opened
	inputRecovered = "recovered" // the level when it was opened again after a fault
	inputOverrun   = "overrun"   // the level after edges were lost, where it is not what was said last
	inputHeld      = "held"      // the input has been on for LongPress
	inputSample    = "sample"    // the level of a sampled input
)

// inputData is the data of a device.input.
type inputData struct {
	State string `json:"state"`
	Edge  string `json:"edge"`
	// Sequence is the kernel's number of the edge, from 1 when the line was opened.
	Sequence uint32 `json:"sequence,omitempty"`
	// Held is how long the input has been on, or had been on when it was released, as far as that is known.
	Held time.Duration `json:"held_ns,omitempty"`
	// Monotonic is the kernel's clock since boot: exact also between edges, and where the wall clock was not set.
	Monotonic time.Duration `json:"monotonic_ns"`
}

// remark is something to say about an input.
type remark struct {
	kind string
	at   time.Duration
	data any
}

// recheck is how soon the level is looked at again when it is not what a timer expected: the edge that says so is on its way.
const recheck = 10 * time.Millisecond

// contact makes remarks of the edges of a line. It goes by their own times, never by when they are looked at.
type contact struct {
	spec     *Spec
	both     bool // both edges are told
	on       bool
	since    time.Duration // it has been on
	timed    bool          // since is known
	held     bool          // and LongPress was told
	unsure   bool          // edges were lost, and the level was not looked at since
	doubts   int           // how often it was not what the edges say, since the last one
	sequence edgeSequence
	bounce   *debouncer // nil: the kernel does it
	again    time.Duration
	lost     uint64
	say      []remark
}

// newContact is the contact of a line that has just been opened, and was on or off then.
func newContact(s *Spec, l *openLine, now time.Duration) *contact {
	c := &contact{spec: s, both: l.both, on: l.on, since: now, timed: true}
	if l.hold > 0 {
		c.bounce = &debouncer{hold: l.hold, on: l.on}
	}
	why := inputStart
	if l.anew {
		why = inputRecovered
	}
	c.level(why, now)
	return c
}

// remarks returns what there is to say since the last time.
func (c *contact) remarks() []remark {
	say := c.say
	c.say = nil
	return say
}

// edge takes an edge of the line.
func (c *contact) edge(e gpiochip.Event) {
	c.doubts = 0
	if h, ok := c.sequence.next(e); ok {
		c.lost += uint64(h.lost)
		c.timed, c.unsure = false, c.both
		if c.bounce != nil {
			c.bounce.waiting = false
		}
		c.say = append(c.say, remark{EventOverrun, e.At, overrunData{Lost: uint64(h.lost), From: h.from, To: h.to}})
	}
	if c.bounce == nil {
		c.turn(e)
		return
	}
	if settled, ok := c.bounce.next(e); ok {
		c.turn(settled)
	}
}

// turn takes an edge that counts.
func (c *contact) turn(e gpiochip.Event) {
	c.press(e.At)
	data := inputData{State: levelWord(e.Rising), Edge: EdgesFalling, Sequence: e.Sequence, Monotonic: e.At}
	if e.Rising {
		data.Edge = EdgesRising
	}
	if !e.Rising && c.on && c.timed {
		data.Held = e.At - c.since
	}
	c.set(e.Rising, e.At)
	if c.spec.wants(e.Rising) {
		c.say = append(c.say, remark{EventInput, e.At, data})
	}
}

func (c *contact) set(on bool, at time.Duration) {
	c.on, c.since, c.timed, c.held = on, at, true, false
}

// press says that the input is held, if it has been by now.
func (c *contact) press(now time.Duration) {
	if !c.pressing() || now < c.since+c.spec.LongPress {
		return
	}
	c.held = true
	at := c.since + c.spec.LongPress
	c.say = append(c.say, remark{EventInput, at, inputData{State: OutputOn, Edge: inputHeld, Held: c.spec.LongPress, Monotonic: at}})
}

func (c *contact) pressing() bool { return c.spec.LongPress > 0 && c.on && c.timed && !c.held }

// level says what was read from the line.
func (c *contact) level(why string, now time.Duration) {
	c.say = append(c.say, remark{EventInput, now, inputData{State: levelWord(c.on), Edge: why, Monotonic: now}})
}

// due is when the level is to be looked at, if no edge comes before.
func (c *contact) due() (at time.Duration, ok bool) {
	switch {
	case c.unsure:
		return c.again, true
	case c.bounce != nil && c.bounce.waiting:
		at = c.bounce.due()
		if c.pressing() {
			at = min(at, c.since+c.spec.LongPress)
		}
	case c.pressing():
		at = c.since + c.spec.LongPress
	default:
		return 0, false
	}
	return max(at, c.again), true
}

// look takes the level that was read when no edges were waiting.
func (c *contact) look(on bool, now time.Duration) {
	c.again = 0
	expected := c.on
	if c.bounce != nil && c.bounce.waiting {
		expected = c.bounce.edge.Rising
	}
	if on != expected { // the edge that says so is on its way, or was lost
		c.again = now + recheck
		if c.doubts++; c.unsure && c.doubts > 1 {
			c.correct(on, now)
		}
		return
	}
	c.unsure = false
	if c.bounce != nil {
		if settled, ok := c.bounce.settle(now); ok {
			c.turn(settled)
		}
	}
	c.press(now)
}

// correct says the level that no edge told.
func (c *contact) correct(on bool, now time.Duration) {
	c.unsure = false
	if c.bounce != nil {
		c.bounce.on, c.bounce.waiting = on, false
	}
	if on != c.on {
		c.set(on, now)
		c.level(inputOverrun, now)
	}
}

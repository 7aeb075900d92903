package devices

import "time"

// pattern is a command that takes its time: a pulse, a blink or a pwm. It belongs to the player of its output.
type pattern struct {
	command Command
	on, off time.Duration
	times   int // how often it is on; 0: for ever
	count   int // how often it was
	level   bool
	until   time.Time // when the level ends
}

// newPattern is c as a pattern that begins now, with the level on; nil if c is none, and then on says what it is instead.
func newPattern(c Command, now time.Time) (p *pattern, on bool) {
	switch c.Do {
	case DoPulse:
		p = &pattern{on: c.On, times: 1}
	case DoBlink:
		p = &pattern{on: c.On, off: c.Off, times: c.Times}
	case DoPWM:
		on, off := c.halves()
		if on == 0 || off == 0 {
			return nil, on > 0
		}
		p = &pattern{on: on, off: off}
	default:
		return nil, c.Do == DoOn
	}
	p.command, p.level, p.until = c, true, now.Add(p.on)
	return p, true
}

// step goes on to the next level, and says whether the pattern is at its end. It keeps to its own beat; but where it is late by more than a
// level takes, it goes on from now, so that no flash is left out.
func (p *pattern) step(now time.Time) (ended bool) {
	if p.level {
		p.count++
		if p.count == p.times {
			p.level = false
			return true
		}
	}
	p.level = !p.level
	length := p.off
	if p.level {
		length = p.on
	}
	if p.until = p.until.Add(length); p.until.Before(now) {
		p.until = now.Add(length)
	}
	return false
}

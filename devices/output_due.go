package devices

import (
	"errors"
	"time"

	"gateway/devices/gpiochip"
)

const (
	linkEvery = time.Second      // the link is looked at
	lineEvery = 10 * time.Second // the line is: a chip that was unplugged says nothing by itself
	idle      = time.Hour
)

// deadlines are when the player has to act by itself; zero: never. They belong to it.
type deadlines struct {
	maxOn, watchdog, link, line time.Time
}

// set makes them those of the spec, after a command or a change.
func (d *deadlines) set(p *output, now time.Time) {
	d.watchdog, d.link = time.Time{}, time.Time{}
	if p.spec.Watchdog > 0 {
		from := p.commanded
		if from.IsZero() {
			from = now
		}
		d.watchdog = from.Add(p.spec.Watchdog)
	}
	if p.spec.Down != "" && p.all.o.LinkDown != nil {
		d.link = now.Add(linkEvery)
	}
	if d.line.IsZero() {
		d.line = now.Add(lineEvery)
	}
	if p.held {
		d.hold(p, now, p.all.lines.Now()-p.since)
	}
}

// hold sets the end of the on time, of which some is gone.
func (d *deadlines) hold(p *output, now time.Time, gone time.Duration) {
	d.maxOn = time.Time{}
	if p.spec.MaxOn > 0 {
		d.maxOn = now.Add(p.spec.MaxOn - gone)
	}
}

// tick does all that is due, and returns after how long to come again.
func (p *output) tick(now time.Time) time.Duration {
	due := func(at time.Time) bool { return !at.IsZero() && !now.Before(at) }
	d := &p.due
	switch {
	case p.ending:
		return idle
	case p.retry.waits():
		if due(p.retry.at) {
			p.tryAgain(now)
		}
	default:
		if due(d.maxOn) {
			d.maxOn = time.Time{}
			_ = p.goSafe(whyMaxOn, now) // the errors are faults by now
		}
		if due(d.watchdog) {
			d.watchdog = time.Time{}
			_ = p.goSafe(whyWatchdog, now)
		}
		if due(d.link) {
			d.link = now.Add(linkEvery)
			p.lookAtLink(now)
		}
		if due(d.line) {
			d.line = now.Add(lineEvery)
			p.lookAtLine(now)
		}
		if p.pattern != nil && due(p.pattern.until) {
			p.step(now)
		}
	}
	return p.next(time.Now())
}

// next is how long until something is due.
func (p *output) next(now time.Time) time.Duration {
	all := []time.Time{p.due.maxOn, p.due.watchdog, p.due.link, p.due.line}
	if p.retry.waits() {
		all = []time.Time{p.retry.at}
	} else if p.pattern != nil {
		all = append(all, p.pattern.until)
	}
	wait := idle
	for _, at := range all {
		if !at.IsZero() {
			wait = min(wait, max(at.Sub(now), 0))
		}
	}
	return wait
}

// lookAtLink makes the output safe when the link has been down for too long. A command that came since then is given as much time again.
func (p *output) lookAtLink(now time.Time) {
	since, down := p.all.o.LinkDown(p.spec.Down)
	if !down {
		return
	}
	if since.Before(p.commanded) {
		since = p.commanded
	}
	if now.Sub(since) >= p.spec.DownFor {
		_ = p.goSafe(whyLinkDown, now) // its error is a fault by now
	}
}

// lookAtLine finds out that the chip was unplugged.
func (p *output) lookAtLine(now time.Time) {
	if _, err := p.line.Level(); errors.Is(err, gpiochip.ErrGone) {
		p.fail(err, now)
	}
}

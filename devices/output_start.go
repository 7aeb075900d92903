package devices

import (
	"time"

	"gateway"
)

// start requests the line, or goes on with kept (nil if there is none), and begins to play. Nobody else knows of the output's line yet.
func (p *output) start(kept line) {
	now := time.Now()
	p.retry = newRetry()
	on, why := p.first(kept)
	var since time.Duration
	if p.sameBoot() && p.journal.On {
		since = p.journal.Since
	}
	if p.sameBoot() && p.journal.Commanded > 0 {
		p.commanded = now.Add(p.journal.Commanded - p.all.lines.Now())
	}
	if on && p.hold(now) != "" {
		on, why.why = false, whyInterlock
	}
	p.due.set(p, now)
	p.begin(kept, on, now)
	switch {
	case p.line == nil: // it never was on
		p.account(now)
	case !p.retry.waits():
		p.goOn(since, now)
		p.report(why, now)
	}
	p.note()
	go p.play()
	<-p.busy
}

// begin makes the line drive on, from the first moment.
func (p *output) begin(kept line, on bool, now time.Time) {
	if kept == nil {
		p.open(on, now)
		return
	}
	p.line = kept
	level, err := kept.Level()
	if err == nil && level == on { // it is not touched at all
		p.level = on
		p.opened(now)
		return
	}
	p.opened(now)
	_ = p.drive(on, now) // its error is a fault by now
}

// goOn notes how the output is, and since when one that was kept is on.
func (p *output) goOn(since time.Duration, now time.Time) {
	p.account(now)
	if !p.level || since == 0 {
		return
	}
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	p.since, p.journal.Since = since, since
	p.due.hold(p, now, p.all.lines.Now()-since)
}

// first is how the output is to be at the start, and why. An unfinished command, a pattern that nobody plays any more, and an on time that is used up
// or not known make it safe; else it is kept, if it is to be.
func (p *output) first(kept line) (on bool, why cause) {
	j, s := &p.journal, &p.spec
	why = cause{why: whyStart}
	if j.interrupted != nil {
		return p.safe(), cause{why: whyUnknown, event: j.interrupted.ID, command: j.interrupted.Command}
	}
	if s.Start != OutputKeep {
		return p.safe(), why
	}
	known := p.sameBoot()
	if known && j.Playing {
		return p.safe(), why
	}
	on = known && j.On
	if kept == nil && !known {
		return p.safe(), why
	}
	if kept != nil {
		level, err := kept.Level()
		if err != nil {
			return p.safe(), why
		}
		on, known = level, known && j.On == level
	}
	if !on || s.MaxOn == 0 {
		return on, why
	}
	if !known {
		return p.safe(), why
	}
	if p.all.lines.Now()-j.Since >= s.MaxOn {
		return p.safe(), cause{why: whyMaxOn}
	}
	return true, why
}

// sameBoot says that what is remembered of the line and its times is of this boot.
func (p *output) sameBoot() bool { return p.journal.Boot != "" && p.journal.Boot == p.all.o.Boot }

// open requests the line at the level on. After an error it is a fault.
func (p *output) open(on bool, now time.Time) {
	l, err := p.all.lines.Open(p.spec.Pin, p.spec.Chip, p.spec.outputConfig(on))
	if err != nil {
		p.fail(err, now)
		return
	}
	p.line, p.level = l, on
	p.opened(now)
}

// opened says that there is a line.
func (p *output) opened(now time.Time) {
	p.retry = newRetry()
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	p.file = p.line.File()
	p.status.State, p.status.Since, p.status.Fault = gateway.DeviceOK, now, ""
}

package devices

import (
	"errors"
	"time"

	"gateway"
	"gateway/devices/gpiochip"
)

const (
	retryMin = 100 * time.Millisecond
	retryMax = 30 * time.Second
)

// retry is when a line that does not work is tried again.
type retry struct {
	at    time.Time // zero: it works
	pause time.Duration
}

func newRetry() retry { return retry{pause: retryMin} }

func (r *retry) waits() bool { return !r.at.IsZero() }

func (r *retry) after(now time.Time) {
	r.at = now.Add(r.pause)
	r.pause = min(2*r.pause, retryMax)
}

// fail says that the line does not work. A line that is gone is let go; any other is kept: systemd may have its descriptor too, so that it could not be had again.
// What the output did has ended, and it is to be safe as soon as the line works.
func (p *output) fail(err error, now time.Time) {
	p.pattern = nil
	p.retry.after(now)
	may := p.line != nil // it may be on
	if p.line != nil && errors.Is(err, gpiochip.ErrGone) {
		err = errors.Join(err, p.line.Close())
		p.line = nil
	}
	p.all.mu.Lock()
	first := p.status.State != gateway.DeviceFault
	changed := p.status.Fault != err.Error()
	if first {
		p.status.State, p.status.Since = gateway.DeviceFault, now
		p.status.Faults++
	}
	p.status.Fault = err.Error()
	p.journal.Playing = false
	p.held = p.held || may
	if p.line == nil {
		p.file = nil
	}
	p.all.mu.Unlock()
	if first || changed {
		p.logger.Warn("the output does not work: it is tried again", "err", err)
	}
	if first {
		p.all.reports.add(p, EventFault, now, map[string]any{"fault": err.Error()})
	}
}

// tryAgain requests the line anew, or drives it anew, in the safe state.
func (p *output) tryAgain(now time.Time) {
	since := p.statusNow().Since
	if p.line == nil {
		p.open(p.safe(), now)
	} else if err := p.line.Set(p.safe()); err != nil {
		p.fail(err, now)
	} else {
		p.level = p.safe()
		p.opened(now)
	}
	if p.retry.waits() {
		return
	}
	p.account(now)
	p.logger.Info("the output works again")
	p.all.reports.add(p, EventRecovered, now, map[string]any{"after_s": now.Sub(since).Round(time.Millisecond).Seconds()})
	p.report(cause{why: whyFault}, now)
	p.note()
}

func (p *output) statusNow() gateway.DeviceStatus {
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	return p.status
}

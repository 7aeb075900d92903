package devices

import (
	"errors"
	"io/fs"
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

// outputFault is the data of EventFault, and outputRecovered that of EventRecovered.
type outputFault struct {
	Device string    `json:"device"`
	Type   string    `json:"type"`
	Where  string    `json:"where"`
	Class  string    `json:"class"`
	Cause  string    `json:"cause"`
	Since  time.Time `json:"since"`
	Hint   string    `json:"hint,omitempty"`
}

type outputRecovered struct {
	Device string    `json:"device"`
	Type   string    `json:"type"`
	Where  string    `json:"where"`
	Since  time.Time `json:"since"`
	// Down is in seconds; Attempts are how often it was tried, the last time included.
	Down     float64 `json:"down_seconds"`
	Attempts int     `json:"attempts"`
}

// faultClass is missing, busy, permission or other.
func faultClass(err error) string {
	switch {
	case errors.Is(err, gpiochip.ErrGone), errors.Is(err, gpiochip.ErrNotFound):
		return "missing"
	case errors.Is(err, gpiochip.ErrBusy):
		return "busy"
	case errors.Is(err, fs.ErrPermission):
		return "permission"
	}
	return "other"
}

func faultHint(err error) string {
	switch faultClass(err) {
	case "permission":
		return `the gateway's user must be in the group that owns /dev/gpiochip*, as a rule "gpio"`
	case "busy":
		return "something else has the line: see what uses it with gpioinfo; after a change of the configuration it may be systemd, which kept it for this gateway"
	}
	return ""
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
		p.attempts = 0
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
		p.all.reports.add(p, EventFault, now, outputFault{p.name, p.spec.Type, p.where(), faultClass(err), err.Error(), now.UTC(), faultHint(err)})
	}
}

// tryAgain requests the line anew, or drives it anew, in the safe state.
func (p *output) tryAgain(now time.Time) {
	since := p.statusNow().Since
	p.attempts++
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
	p.all.reports.add(p, EventRecovered, now, outputRecovered{p.name, p.spec.Type, p.where(), since.UTC(), now.Sub(since).Round(time.Millisecond).Seconds(), p.attempts})
	p.report(cause{why: whyFault}, now)
	p.note()
}

func (p *output) statusNow() gateway.DeviceStatus {
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	return p.status
}

package devices

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gateway"
)

// Why an output changed.
const (
	whyCommand   = "command"
	whySet       = "set" // by hand
	whyStart     = "start"
	whyUnknown   = "unknown command" // at the start: one was begun, and nobody knows whether it was carried out
	whyStop      = "stop"
	whyRemoved   = "removed" // from the configuration
	whyMaxOn     = "max_on"
	whyWatchdog  = "watchdog"
	whyLinkDown  = "link_down"
	whyInterlock = "interlock"
	whyFault     = "fault" // the line is back
)

// cause is why an output does something, for its event.
type cause struct {
	why     string
	command string
	event   string // the ID of the command
	by      string // its source
}

// set carries out a command given by hand.
func (p *output) set(ctx context.Context, c Command) error {
	c = p.resolve(c)
	played := make(chan error, 1)
	err := p.do(ctx, func() {
		err := p.carryOut(c, cause{why: whySet, command: c.String()})
		p.note()
		played <- err
	})
	if err != nil {
		return err
	}
	select {
	case err := <-played:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// resolve makes a toggle what it means now.
func (p *output) resolve(c Command) Command {
	if c.Do != DoToggle {
		return c
	}
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	if p.journal.On || p.journal.Playing {
		return Command{Do: DoOff}
	}
	return Command{Do: DoOn}
}

// refuses says why c cannot be carried out now, for all that is known before it is tried: that saves the sync of the intent.
func (p *output) refuses(c Command) error {
	if err := p.faulty(); err != nil {
		return err
	}
	if pattern, on := newPattern(c, time.Time{}); pattern == nil && !on {
		return nil
	}
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	if other := p.all.rival(p); other != "" {
		return gateway.Permanent(p.lockedOut(other))
	}
	return nil
}

// carryOut drives the line as c says. The old pattern ends. The player calls it.
func (p *output) carryOut(c Command, why cause) error {
	if err := p.faulty(); err != nil {
		return err
	}
	now := time.Now()
	var on bool
	p.pattern, on = newPattern(c, now)
	if err := p.drive(on, now); err != nil {
		return err
	}
	p.commanded = now
	p.all.mu.Lock()
	p.journal.Commanded = p.all.lines.Now()
	p.all.mu.Unlock()
	p.due.set(p, now)
	p.report(why, now)
	return nil
}

// goSafe ends what the output does and puts it into its safe state; nothing can refuse that. One that is in it is left alone. Its error is a fault by then.
func (p *output) goSafe(why string, now time.Time) error {
	if p.line == nil || p.pattern == nil && p.level == p.safe() && !p.retry.waits() {
		return nil
	}
	p.pattern = nil
	if err := p.drive(p.safe(), now); err != nil {
		return err
	}
	p.report(cause{why: why}, now)
	p.note()
	return nil
}

// drive sets the line, and keeps account of whether it is held. After an error it counts as held: it may be on.
func (p *output) drive(on bool, now time.Time) error {
	held := on || p.pattern != nil
	if held {
		if other := p.hold(now); other != "" {
			p.pattern = nil
			return gateway.Permanent(p.lockedOut(other))
		}
	}
	if err := p.line.Set(on); err != nil {
		p.fail(err, now)
		return err
	}
	p.level = on
	p.account(now)
	return nil
}

// hold says that the output is about to be on, unless one that it is interlocked with is: all go through here, so there are never two.
func (p *output) hold(now time.Time) (other string) {
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	if p.held {
		return ""
	}
	if other := p.all.rival(p); other != "" {
		return other
	}
	p.held, p.since = true, p.all.lines.Now()
	p.due.hold(p, now, 0)
	return ""
}

// account notes how the output is now.
func (p *output) account(now time.Time) {
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	if p.held = p.level || p.pattern != nil; !p.held {
		p.due.maxOn = time.Time{}
	}
	j := &p.journal
	j.Boot, j.On, j.Playing, j.Since = p.all.o.Boot, p.level, p.pattern != nil, p.since
	p.status.Value, p.status.At = p.state(), now
	if p.pattern != nil {
		p.status.Value = p.pattern.command.String()
	}
}

func (p *output) lockedOut(other string) error {
	return fmt.Errorf("output %q cannot be on while %q is: they are interlocked", p.name, other)
}

// state is the word for what the output does now: on also while it plays.
func (p *output) state() string {
	if p.level || p.pattern != nil {
		return OutputOn
	}
	return OutputOff
}

// step goes on with the pattern.
func (p *output) step(now time.Time) {
	played := p.pattern
	if !played.step(now) {
		p.level = played.level
		if err := p.line.Set(played.level); err != nil {
			p.fail(err, now)
		}
		return
	}
	p.pattern = nil
	if p.drive(false, now) == nil {
		p.report(cause{why: played.command.Do + " ended", command: played.command.String()}, now)
		p.note()
	}
}

// faulty is the error of a command that comes while the line does not work: it is worth trying again.
func (p *output) faulty() error {
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	if p.status.State != gateway.DeviceFault {
		return nil
	}
	return fmt.Errorf("output %q does not work: %w", p.name, errors.New(p.status.Fault))
}

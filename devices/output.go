package devices

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gateway"
)

// output is one of Outputs. Its player is the goroutine that drives the line.
type output struct {
	all      *Outputs
	logger   *slog.Logger
	name, at string // at is its wire
	key      string // in the Memory

	busy    chan struct{} // of size one: held by who delivers an event, until it is carried out or refused; before that, by start
	actions chan func()   // without a buffer: what was taken is run, by the player
	done    chan struct{} // closed by the player when it has ended

	saving sync.Mutex  // held while the journal is handed over, so that it is in order
	dirty  atomic.Bool // the journal has something to be noted

	spec Spec // the player writes it, with Outputs.mu held; others read it with that

	// What follows is the player's.
	line      line
	level     bool
	pattern   *pattern      // nil: the level is still
	told      string        // the state that was reported last
	since     time.Duration // when it was not held last, by lines.Now
	ending    bool
	retry     retry
	attempts  int // to end the fault
	due       deadlines
	commanded time.Time // when it got its last command; zero if it has had none

	// What follows is guarded by Outputs.mu.
	held    bool // it is on, plays, or may be on
	journal journal
	file    *os.File
	status  gateway.DeviceStatus
}

// newOutput reads the memory; nothing is touched.
func (o *Outputs) newOutput(s Spec) (*output, error) {
	p := &output{
		all: o, logger: o.o.Logger.With("device", s.Name), name: s.Name, at: wire(&s), key: "output/" + s.Name, spec: s,
		busy: make(chan struct{}, 1), actions: make(chan func()), done: make(chan struct{}),
		status: gateway.DeviceStatus{Name: s.Name, Type: s.Type, State: gateway.DeviceStarting, Since: time.Now()},
	}
	p.status.Where = p.where()
	p.busy <- struct{}{}
	value, err := o.o.Memory.Get(p.key)
	if err != nil {
		return nil, fmt.Errorf("output %q: read what was carried out: %w", s.Name, err)
	}
	if p.journal, err = readJournal(value); err != nil {
		return nil, fmt.Errorf("output %q: what is remembered of its commands (key %q) cannot be read: %w", s.Name, p.key, err)
	}
	return p, nil
}

// safe is the level of the safe state.
func (p *output) safe() bool { return p.spec.Safe == OutputOn }

// where is its line, as people say it.
func (p *output) where() string { return strings.TrimSpace(p.spec.Chip + " " + p.spec.Pin) }

// play is the player. It ends after end.
func (p *output) play() {
	defer close(p.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !p.ending {
		select {
		case <-timer.C:
		case act := <-p.actions:
			act()
		}
		timer.Reset(p.tick(time.Now()))
	}
}

// do has the player run act; it returns without waiting for its end. After an error it will never be run.
func (p *output) do(ctx context.Context, act func()) error {
	select {
	case p.actions <- act:
		return nil
	case <-p.done:
		return fmt.Errorf("output %q: %w", p.name, gateway.ErrClosed)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wait has the player run act and waits for that, for a bounded time: a line may hang.
func (p *output) wait(act func()) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	ended := make(chan struct{})
	err := p.do(ctx, func() { defer close(ended); act() })
	if err == nil {
		select {
		case <-ended:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		return fmt.Errorf("output %q: the line does not answer: %w", p.name, err)
	}
	return nil
}

// change takes over a spec with the same line.
func (p *output) change(s Spec) error {
	return p.wait(func() {
		p.all.mu.Lock()
		p.spec = s
		clash := p.held && p.all.rival(p) != ""
		p.all.mu.Unlock()
		now := time.Now()
		p.due.set(p, now)
		if clash {
			_ = p.goSafe(whyInterlock, now) // its error is a fault by now
		}
	})
}

// settle makes the output as it is to be left: still, and safe unless it is to be kept.
func (p *output) settle(why string, keep bool) error {
	var err error
	waited := p.wait(func() {
		p.ending = true
		if !keep || p.spec.Stop != OutputKeep || p.pattern != nil || p.retry.waits() {
			err = p.goSafe(why, time.Now())
		}
		p.note()
	})
	if waited != nil {
		return waited
	}
	return err
}

// end waits for the player and returns its line, nil if it has none.
func (p *output) end() (line, error) {
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		return nil, fmt.Errorf("output %q: the line does not answer: it is left open", p.name)
	}
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	p.file, p.held, p.status.State, p.status.Since = nil, false, gateway.DeviceStopped, time.Now()
	return p.line, nil
}

// note has the journal written with something else. It never waits: who holds saving will do it.
func (p *output) note() {
	p.dirty.Store(true)
	p.flush()
}

func (p *output) flush() {
	for p.dirty.Load() && p.saving.TryLock() {
		if p.dirty.Swap(false) {
			p.all.o.Memory.Note(p.key, p.value())
		}
		p.saving.Unlock()
	}
}

// commit returns when the journal, as it is now, survives a power cut.
func (p *output) commit(ctx context.Context) error {
	p.saving.Lock()
	err := p.all.o.Memory.Commit(ctx, p.key, p.value())
	p.saving.Unlock()
	p.flush()
	return err
}

func (p *output) value() []byte {
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	return p.journal.value()
}

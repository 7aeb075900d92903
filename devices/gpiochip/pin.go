package gpiochip

import (
	"context"
	"errors"
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
)

// Pin is the line as periph's gpio.PinIO. Other than with periph's own host drivers, Read of an output leaves it one, Out(gpio.High) of an input does not drive
// low first, WaitForEdge(-1) waits for ever, and Halt frees who waits. A Pin is safe for concurrent use, but for two that wait at a time; while it is used nobody else
// calls Events of its line.
func (l *Line) Pin() gpio.PinIO { return &pin{line: l} }

type pin struct {
	line *Line

	mu   sync.Mutex // guards what follows
	stop context.CancelFunc
	// halted says that Halt was called since the last In: who comes to wait after that does not.
	halted bool
}

var errNoPWM = errors.New("a GPIO line has no PWM of its own")

// String implements conn.Resource.
func (p *pin) String() string { return p.line.String() }

// Name implements pin.Pin.
func (p *pin) Name() string { return p.line.String() }

// Number implements pin.Pin.
func (p *pin) Number() int { return p.line.number }

// Function implements pin.Pin.
func (p *pin) Function() string {
	if p.line.configured().Output {
		return "Out"
	}
	return "In"
}

// Halt implements conn.Resource: it frees who waits for an edge, now or next.
func (p *pin) Halt() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.halted = true
	if p.stop != nil {
		p.stop()
	}
	return nil
}

// In implements gpio.PinIn.
func (p *pin) In(pull gpio.Pull, edge gpio.Edge) error {
	c := p.line.configured()
	c.Output, c.Pull, c.Edge = false, pull, edge
	p.mu.Lock()
	p.halted = false
	p.mu.Unlock()
	return p.line.Reconfigure(c)
}

// Read implements gpio.PinIn. A line that cannot be read is low.
func (p *pin) Read() gpio.Level {
	on, err := p.line.Level()
	return gpio.Level(on && err == nil)
}

// WaitForEdge implements gpio.PinIn: less than 0 is for ever, 0 asks whether there was one.
func (p *pin) WaitForEdge(timeout time.Duration) bool {
	ctx, cancel := context.WithCancel(context.Background())
	if timeout >= 0 {
		ctx, cancel = context.WithTimeout(context.Background(), max(timeout, time.Millisecond))
	}
	defer cancel()
	p.mu.Lock()
	if p.halted {
		p.halted = false
		p.mu.Unlock()
		return false
	}
	p.stop = cancel
	p.mu.Unlock()
	n, err := p.line.Events(ctx, make([]Event, 1))
	p.mu.Lock()
	p.stop = nil
	if ctx.Err() != nil {
		p.halted = false
	}
	p.mu.Unlock()
	return n > 0 && err == nil
}

// Pull implements gpio.PinIn.
func (p *pin) Pull() gpio.Pull { return p.line.configured().Pull }

// DefaultPull implements gpio.PinIn: nobody knows.
func (p *pin) DefaultPull() gpio.Pull { return gpio.PullNoChange }

// Out implements gpio.PinOut.
func (p *pin) Out(level gpio.Level) error {
	c := p.line.configured()
	if c.Output {
		return p.line.Set(bool(level))
	}
	c.Output, c.Value, c.Edge, c.Debounce = true, bool(level), gpio.NoEdge, 0
	return p.line.Reconfigure(c)
}

// PWM implements gpio.PinOut, and always fails.
func (p *pin) PWM(gpio.Duty, physic.Frequency) error { return errNoPWM }

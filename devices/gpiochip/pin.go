package gpiochip

import (
	"context"
	"errors"
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
)

// Pin is the line as periph's gpio.PinIO, the same each time. Other than with periph's own host drivers, Read of an output leaves it one, Out(gpio.High) of an input
// does not drive low first, WaitForEdge(-1) waits for ever, and Halt frees who waits. A Pin is safe for concurrent use; while it is used nobody else calls Events
// or Reconfigure of its line.
func (l *Line) Pin() gpio.PinIO { return l.pin }

type pin struct {
	line *Line
	// drain and debounce are those that the line was opened with, for whenever it is an output or an input.
	drain    bool
	debounce time.Duration
	// turn is full while somebody waits for edges or throws them away, and guards what follows.
	turn  chan struct{}
	buf   []Event
	edges []Event // the part of buf that nobody was told of

	mu sync.Mutex // guards what follows
	// free ends wait, which every WaitForEdge ends with: those under way, and those to come until In or Out make another.
	wait context.Context
	free context.CancelFunc
}

// pinEvents is how many edges a pin takes from the kernel at a time.
const pinEvents = 16

func newPin(l *Line, c Config) *pin {
	p := &pin{line: l, drain: c.OpenDrain, debounce: c.Debounce, turn: make(chan struct{}, 1), buf: make([]Event, pinEvents)}
	p.wait, p.free = context.WithCancel(context.Background())
	return p
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

// Halt implements conn.Resource: it frees who waits for an edge, now or until the next In or Out. An output goes on driving its level.
func (p *pin) Halt() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free()
	return nil
}

// In implements gpio.PinIn: it frees who waits, and forgets the edges that nobody was told of.
func (p *pin) In(pull gpio.Pull, edge gpio.Edge) error {
	c := p.line.configured()
	c.Output, c.OpenDrain, c.Debounce, c.Pull, c.Edge = false, false, p.debounce, pull, edge
	return p.change(c)
}

// Out implements gpio.PinOut: an input that becomes an output drives level from the first moment.
func (p *pin) Out(level gpio.Level) error {
	c := p.line.configured()
	if c.Output {
		return p.line.Set(bool(level))
	}
	c.Output, c.OpenDrain, c.Value, c.Edge, c.Debounce = true, p.drain, bool(level), gpio.NoEdge, 0
	return p.change(c)
}

// change uses the line differently, while nobody waits for its edges, and lets them be awaited again.
func (p *pin) change(c Config) error {
	if err := p.Halt(); err != nil {
		return err
	}
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	if err := p.line.Reconfigure(c); err != nil {
		return err
	}
	p.edges = nil
	for { // the kernel keeps those from before
		n, err := p.line.poll(p.buf)
		if err != nil {
			return err
		}
		if n < len(p.buf) {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wait, p.free = context.WithCancel(context.Background())
	return nil
}

// WaitForEdge implements gpio.PinIn: less than 0 is for ever, 0 asks whether there was one. Each edge is told once.
func (p *pin) WaitForEdge(timeout time.Duration) bool {
	p.mu.Lock()
	ctx := p.wait
	p.mu.Unlock()
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	if !p.takeTurn(ctx, timeout) {
		return false
	}
	defer func() { <-p.turn }()
	if ctx.Err() != nil {
		return false
	}
	if len(p.edges) == 0 {
		n, err := p.more(ctx, timeout)
		if err != nil || n == 0 {
			return false
		}
		p.edges = p.buf[:n]
	}
	p.edges = p.edges[1:]
	return true
}

// takeTurn waits for the one who waits; with a timeout of 0 it does not.
func (p *pin) takeTurn(ctx context.Context, timeout time.Duration) bool {
	if timeout == 0 {
		select {
		case p.turn <- struct{}{}:
			return true
		default:
			return false
		}
	}
	select {
	case p.turn <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (p *pin) more(ctx context.Context, timeout time.Duration) (int, error) {
	if timeout == 0 {
		return p.line.poll(p.buf)
	}
	return p.line.Events(ctx, p.buf)
}

// Read implements gpio.PinIn, for an output too. A line that cannot be read is low.
func (p *pin) Read() gpio.Level {
	on, err := p.line.Level()
	return gpio.Level(on && err == nil)
}

// Pull implements gpio.PinIn.
func (p *pin) Pull() gpio.Pull { return p.line.configured().Pull }

// DefaultPull implements gpio.PinIn: nobody knows.
func (p *pin) DefaultPull() gpio.Pull { return gpio.PullNoChange }

// PWM implements gpio.PinOut, and always fails.
func (p *pin) PWM(gpio.Duty, physic.Frequency) error { return errNoPWM }

package devices

import (
	"context"
	"fmt"
	"strings"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
)

// port is a chip's driver's way to its bus, as periph knows a bus. It knows what periph's drivers forget: many hide the cause of an error or read on after one, and
// some wait for a chip for as long as it says that it is busy. It belongs to one goroutine.
type port struct {
	bus     *bus
	addr    uint16
	timeout time.Duration
	// through stands between the driver and the bus, where a driver of periph's needs help; nil: nothing does.
	through func(next func(w, r []byte) error, w, r []byte) error

	// ctx is that of the call of the driver which is under way, since periph's interfaces have no place for it.
	ctx  context.Context
	left int   // how many transfers the call may still make
	err  error // the first error of the call
}

var _ i2c.Bus = (*port)(nil)

// maxTransfers ends a call to a driver that waits for a chip which is busy for ever, or for a bus that reads as all ones.
const maxTransfers = 500

// call runs f, a use of a driver, and returns the first error of its transfers, else its own with the chip's place. periph's drivers divide by what a chip says
// of itself, so a garbled one can make them panic: that is an error of the device, and of nothing else.
func (p *port) call(ctx context.Context, f func() error) (err error) {
	p.ctx, p.left, p.err = ctx, maxTransfers, nil
	defer func() {
		if cause := recover(); cause != nil {
			err = faultf(FaultCRC, "the driver could not use what the chip said: %v", cause)
		}
		if p.err != nil {
			err = p.err
		}
		if err != nil && p.ctx.Err() == nil && !strings.Contains(err.Error(), p.bus.owner.name) {
			err = fmt.Errorf("%s 0x%02x: %w", p.bus.owner.name, p.addr, err)
		}
	}()
	return f()
}

// Tx implements i2c.Bus.
func (p *port) Tx(addr uint16, w, r []byte) error {
	if addr != p.addr {
		return p.note(fmt.Errorf("the driver for 0x%02x asked for 0x%02x", p.addr, addr))
	}
	if p.through != nil {
		return p.note(p.through(p.transfer, w, r))
	}
	return p.note(p.transfer(w, r))
}

// transfer is one transfer on the bus.
func (p *port) transfer(w, r []byte) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	if p.left--; p.left < 0 {
		return faultf(FaultStuck, "the chip is not ready after %d transfers", maxTransfers)
	}
	return p.bus.transfer(p.ctx, p.addr, w, r, p.timeout)
}

func (p *port) note(err error) error {
	if p.err == nil {
		p.err = err
	}
	return err
}

// wait is for a conversion; it ends early, with an error, when the call is to end.
func (p *port) wait(d time.Duration) error {
	if !pause(p.ctx, d) {
		return p.ctx.Err()
	}
	return nil
}

// String implements i2c.Bus.
func (p *port) String() string { return p.bus.owner.name }

// SetSpeed implements i2c.Bus. Linux sets the speed of a bus in the device tree.
func (p *port) SetSpeed(physic.Frequency) error {
	return fmt.Errorf("%s: the speed is set in the device tree", p.bus.owner.name)
}

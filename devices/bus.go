package devices

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// transport does one transfer at a time on an I2C bus: w is written and then r read, in one transaction. It may take as long as the kernel does; timeout is
// what the kernel should keep to.
type transport interface {
	Transfer(addr uint16, w, r []byte, timeout time.Duration) error
	Close() error
}

// knocker is a transport that can make a transfer without data.
type knocker interface {
	Knock(addr uint16, timeout time.Duration) error
}

// bus is an I2C bus, used by its owner's goroutine alone.
type bus struct {
	path  string
	owner *owner
	open  func() (transport, error)

	// device belongs to the owner's goroutine: nil before the first transfer, and after one that failed.
	device transport
}

// grace is how much longer than the kernel we wait, so that its own error of a transfer that takes too long comes first.
const grace = 50 * time.Millisecond

// transfer writes w to the chip and then fills r. A deadline passes for each transfer; its error names the bus and the chip.
func (b *bus) transfer(ctx context.Context, addr uint16, w, r []byte, timeout time.Duration) error {
	// The goroutine of the bus may outlive our wait: it has buffers of its own.
	out, in := append([]byte(nil), w...), make([]byte, len(r))
	chip := fmt.Sprintf("0x%02x", addr)
	err := b.owner.do(ctx, timeout+grace, chip, func() error {
		return b.named(chip, b.do(func(device transport) error { return device.Transfer(addr, out, in, timeout) }))
	})
	if err == nil {
		copy(r, in)
	}
	return err
}

// knock says the chip's address and nothing more, to be written to: a chip that is there acknowledges it. Not every adapter can.
func (b *bus) knock(ctx context.Context, addr uint16, timeout time.Duration) error {
	chip := fmt.Sprintf("0x%02x", addr)
	return b.owner.do(ctx, timeout+grace, chip, func() error {
		return b.named(chip, b.do(func(device transport) error {
			if k, ok := device.(knocker); ok {
				return k.Knock(addr, timeout)
			}
			return errors.ErrUnsupported
		}))
	})
}

// named says in an error of a chip which one it is.
func (b *bus) named(chip string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", b.owner.name, chip, err)
}

// do runs on the owner's goroutine. After an error the device is opened anew: an adapter that was unplugged can only leave the kernel when nobody holds it.
func (b *bus) do(use func(transport) error) error {
	if b.device == nil {
		device, err := b.open()
		if err != nil {
			return opened(err, b.path, "i2c", "enable I2C: `sudo raspi-config nonint do_i2c 0`, or dtparam=i2c_arm=on in config.txt and the module i2c-dev")
		}
		b.device = device
	}
	err := use(b.device)
	if err != nil {
		_ = b.device.Close() // the transfer's error says more
		b.device = nil
	}
	return err
}

// close releases the device, if the owner's goroutine has ended.
func (b *bus) close() error {
	select {
	case <-b.owner.ended:
	default:
		return nil // it is in the kernel with it
	}
	if b.device == nil {
		return nil
	}
	err := b.device.Close()
	b.device = nil
	return err
}

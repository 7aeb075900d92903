package devices

import (
	"context"
	"fmt"
	"time"
)

// transport does one transfer at a time on an I2C bus: w is written and then r read, in one transaction. It may take as long as the kernel does; timeout is
// what the kernel should keep to.
type transport interface {
	Transfer(addr uint16, w, r []byte, timeout time.Duration) error
	Close() error
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
		if err := b.do(addr, out, in, timeout); err != nil {
			return fmt.Errorf("%s %s: %w", b.owner.name, chip, err)
		}
		return nil
	})
	if err == nil {
		copy(r, in)
	}
	return err
}

// do runs on the owner's goroutine. After an error the device is opened anew: an adapter that was unplugged can only leave the kernel when nobody holds it.
func (b *bus) do(addr uint16, w, r []byte, timeout time.Duration) error {
	if b.device == nil {
		device, err := b.open()
		if err != nil {
			return opened(err, b.path, "i2c", "enable I2C: `sudo raspi-config nonint do_i2c 0`, or dtparam=i2c_arm=on in config.txt and the module i2c-dev")
		}
		b.device = device
	}
	err := b.device.Transfer(addr, w, r, timeout)
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

package devices

import (
	"os"
	"time"

	"gateway/devices/gpiochip"
)

// KernelLines are the GPIO lines of the kernel's chips below Dev, which is "/dev" but for tests. Safe for concurrent use.
type KernelLines struct{ Dev string }

var _ lines = KernelLines{}

// Open finds the line of pin and chip (see Spec) and requests it.
func (k KernelLines) Open(pin, chip string, c gpiochip.Config) (line, error) {
	at, info, err := gpiochip.Find(k.Dev, chip, pin)
	if err != nil {
		return nil, err
	}
	return asLine(gpiochip.Open(at.Path, info.Offset, c))
}

// Adopt takes over a request that systemd kept.
func (k KernelLines) Adopt(f *os.File, c gpiochip.Config) (line, error) {
	return asLine(gpiochip.Adopt(f, c))
}

// Now is the clock of an event's At.
func (k KernelLines) Now() time.Duration { return gpiochip.Now() }

// asLine makes an interface of l that is nil with an error.
func asLine(l *gpiochip.Line, err error) (line, error) {
	if err != nil {
		return nil, err
	}
	return l, nil
}

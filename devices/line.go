package devices

import (
	"context"
	"os"
	"time"

	"gateway/devices/gpiochip"
)

// line is what inputs and outputs need of a GPIO line: a *gpiochip.Line, or a fake. Set and Level may be called from any goroutine, Events from one.
type line interface {
	// Events waits for edges and fills buf; it returns at least one, or an error: ctx's, or that of the line.
	Events(ctx context.Context, buf []gpiochip.Event) (int, error)
	// Level is the level now; of an output the one that it drives.
	Level() (bool, error)
	// Set drives an output.
	Set(on bool) error
	// File is the request's descriptor, for systemd to keep.
	File() *os.File
	Close() error
}

// lines opens lines: of the kernel, or fakes.
type lines interface {
	// Open finds the line of pin and chip (see Spec) and requests it.
	Open(pin, chip string, c gpiochip.Config) (line, error)
	// Adopt takes over a request that systemd kept.
	Adopt(f *os.File, c gpiochip.Config) (line, error)
	// Now is the clock of an event's At.
	Now() time.Duration
}

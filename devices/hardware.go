package devices

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"
)

// HardwareOptions says where the hardware is; the zero value is a whole Linux.
type HardwareOptions struct {
	// Dev, Sys and Proc are where the kernel shows its devices; "" stands for /dev, /sys and /proc.
	Dev, Sys, Proc string
	// Lines opens GPIO lines.
	Lines lines

	// i2c opens a bus by the path of its device; nil: the kernel's.
	i2c func(path string) (transport, error)
}

// Hardware is what devices share: buses, each with one goroutine that owns it from its first use on. It may be used from any goroutine.
type Hardware struct {
	o     HardwareOptions
	lines lines

	mu     sync.Mutex
	buses  map[string]*bus   // by number
	owners map[string]*owner // by name: of buses, and of 1-Wire probes
	closed bool
}

// errClosed says that the Hardware was closed.
var errClosed = errors.New("the hardware is closed")

// NewHardware touches nothing yet: buses are opened when a device first uses them.
func NewHardware(o HardwareOptions) *Hardware {
	for dir, usual := range map[*string]string{&o.Dev: "/dev", &o.Sys: "/sys", &o.Proc: "/proc"} {
		if *dir == "" {
			*dir = usual
		}
	}
	if o.i2c == nil {
		o.i2c = openI2C
	}
	return &Hardware{o: o, lines: o.Lines, buses: map[string]*bus{}, owners: map[string]*owner{}}
}

// bus is the I2C bus of that number.
func (h *Hardware) bus(number string) (*bus, error) {
	name := "i2c-" + number
	o, err := h.owner(name)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.buses[number]
	if b == nil {
		path := filepath.Join(h.o.Dev, name)
		b = &bus{path: path, owner: o, open: func() (transport, error) { return h.o.i2c(path) }}
		h.buses[number] = b
	}
	return b, nil
}

// owner is the goroutine of that name, started if there was none. It is kept over faults: one that is stuck is not joined by a second.
func (h *Hardware) owner(name string) (*owner, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, fmt.Errorf("%s: %w", name, errClosed)
	}
	o := h.owners[name]
	if o == nil {
		o = newOwner(name)
		h.owners[name] = o
	}
	return o, nil
}

// closeWait is how long Close waits for a transfer that is in the kernel: a conversion of a 1-Wire probe takes 0.8 s, or twice that when another was before it.
const closeWait = 3 * time.Second

// Close ends the goroutines of the buses and closes them. Devices must have ended. Calling it twice is fine.
func (h *Hardware) Close() error {
	h.mu.Lock()
	h.closed = true
	owners, buses := h.owners, h.buses
	h.owners, h.buses = nil, nil
	h.mu.Unlock()

	ends := make(chan error, len(owners))
	for _, o := range owners {
		go func() { ends <- o.close(closeWait) }()
	}
	var errs []error
	for range owners {
		errs = append(errs, <-ends)
	}
	for _, b := range buses {
		errs = append(errs, b.close())
	}
	return errors.Join(errs...)
}

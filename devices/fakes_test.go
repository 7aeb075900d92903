package devices

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gateway"
	"periph.io/x/conn/v3/i2c/i2ctest"
)

// fakeLog keeps what is appended. It is full for as long as full says so.
type fakeLog struct {
	mu     sync.Mutex
	events []gateway.Event
	at     []time.Time
	full   bool
}

func (l *fakeLog) Append(_ context.Context, events ...gateway.Event) (gateway.Offset, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.full {
		return 0, gateway.ErrFull
	}
	for _, e := range events {
		if err := e.Validate(); err != nil {
			return 0, err
		}
		l.events, l.at = append(l.events, e), append(l.at, time.Now())
	}
	return gateway.Offset(len(l.events)), nil
}

func (l *fakeLog) setFull(full bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.full = full
}

// all returns the events of the kinds, of all kinds if none is given.
func (l *fakeLog) all(kinds ...string) []gateway.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []gateway.Event
	for _, e := range l.events {
		for _, kind := range kinds {
			if e.Type == kind {
				found = append(found, e)
			}
		}
		if len(kinds) == 0 {
			found = append(found, e)
		}
	}
	return found
}

// data decodes an event's data.
func data(t *testing.T, e gateway.Event) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(e.Data, &m); err != nil {
		t.Fatalf("%s: %v in %s", e.Type, err, e.Data)
	}
	return m
}

// fakeBus is an I2C bus with chips on it.
type fakeBus struct {
	mu    sync.Mutex
	chips map[uint16]fakeChip
	hang  chan struct{} // transfers wait for it, if it is not nil
	calls int
}

// fakeChip answers a transfer.
type fakeChip interface{ tx(w, r []byte) error }

func (b *fakeBus) Transfer(addr uint16, w, r []byte, _ time.Duration) error {
	b.mu.Lock()
	b.calls++
	hang, chip := b.hang, b.chips[addr]
	b.mu.Unlock()
	if hang != nil {
		<-hang
		return syscall.ETIMEDOUT
	}
	if chip == nil {
		return syscall.ENXIO
	}
	return chip.tx(w, r)
}

func (b *fakeBus) Close() error { return nil }

// plug puts a chip on the bus, or takes it off.
func (b *fakeBus) plug(addr uint16, chip fakeChip) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.chips[addr] = chip
}

func (b *fakeBus) setHang(hang chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hang = hang
}

func (b *fakeBus) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls
}

// registers is a chip of 256 registers of 8 bits, read and written one after the other.
type registers struct {
	mu      sync.Mutex
	reg     [256]byte
	pointer byte
	pairs   bool                 // what is written are pairs of register and value, as Bosch's chips have it
	reads   map[byte]func() byte // registers that are made up
}

func (c *registers) tx(w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pairs && len(w) > 1 {
		for pair := range slices.Chunk(w, 2) {
			c.reg[pair[0]] = pair[1]
		}
		return nil
	}
	if len(w) > 0 {
		c.pointer = w[0]
		copy(c.reg[c.pointer:], w[1:])
	}
	for i := range r {
		r[i] = c.reg[c.pointer]
		if f := c.reads[c.pointer]; f != nil {
			r[i] = f()
		}
		c.pointer++
	}
	return nil
}

func (c *registers) set(at byte, values ...byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	copy(c.reg[at:], values)
}

// words is a chip of registers of 16 bits, each at an address of its own.
type words struct {
	mu      sync.Mutex
	reg     map[byte]uint16
	pointer byte
	written [][]byte
	after   func(c *words, w []byte) // looks at what was written, c.mu held
}

func (c *words) tx(w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(w) > 0 {
		c.pointer = w[0]
	}
	if len(w) > 1 {
		c.written = append(c.written, append([]byte(nil), w...))
		if len(w) == 3 {
			c.reg[w[0]] = uint16(w[1])<<8 | uint16(w[2])
		}
		if c.after != nil {
			c.after(c, w)
		}
	}
	if len(r) == 2 {
		r[0], r[1] = byte(c.reg[c.pointer]>>8), byte(c.reg[c.pointer])
	}
	return nil
}

// playback is periph's playback of transfers as a bus.
type playback struct{ *i2ctest.Playback }

func (p playback) Transfer(addr uint16, w, r []byte, _ time.Duration) error { return p.Tx(addr, w, r) }
func (p playback) Close() error                                             { return nil }

// plan is a playback of those transfers; it fails, rather than panic, at another one.
func plan(ops ...i2ctest.IO) playback {
	return playback{&i2ctest.Playback{Ops: ops, DontPanic: true}}
}

// pass lets that much of the bubble's time go by.
func pass(d time.Duration) { <-time.After(d) }

// common is what a device of a test is given.
func common() Common {
	return Common{Gateway: "gw", Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

// hardware has the buses by their number, and a /sys and /proc of its own.
func hardware(t *testing.T, root string, buses map[string]transport) *Hardware {
	t.Helper()
	return NewHardware(HardwareOptions{Dev: root + "/dev", Sys: root + "/sys", Proc: root + "/proc", i2c: func(path string) (transport, error) {
		b, ok := buses[path[len(root+"/dev/i2c-"):]]
		if !ok {
			return nil, &os.PathError{Op: "open", Path: path, Err: syscall.ENOENT}
		}
		return b, nil
	}})
}

// run runs the device for a time of the bubble, and then until it has ended.
func run(t *testing.T, d Device, out gateway.Appender, length time.Duration) {
	t.Helper()
	stop := start(t, d, out)
	pass(length)
	stop()
}

// start runs the device; stop ends it and waits for it.
func start(t *testing.T, d Device, out gateway.Appender) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx, out) }()
	return func() {
		t.Helper()
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: got %v, want no error", err)
		}
		if got := d.Status().State; got != gateway.DeviceStopped {
			t.Errorf("state after Run: got %q, want stopped", got)
		}
	}
}

package gpiochip

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/gpio"
)

// keep is what systemd does with a line's descriptor.
func keep(t *testing.T, l *Line) *os.File {
	t.Helper()
	fd, err := unix.FcntlInt(fdOf(t, l), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "kept")
}

// TestSimAdoptTouchesNothing: neither a take-over nor a refusal changes anything, and what is not as configured is refused.
func TestSimAdoptTouchesNothing(t *testing.T) {
	s := openSim(t)
	l := s.open(t, 7, Config{Output: true, Value: true})
	trace := startTrace(t)
	for want, c := range map[string]Config{"direction": {}, "polarity": {Output: true, ActiveLow: true}, "drive": {Output: true, OpenDrain: true}} {
		f := keep(t, l)
		if a, err := Adopt(f, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, %v; want that the %s differs", a, err, want)
		}
		if _, err := f.Stat(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: the descriptor is open after the refusal: %v", want, err)
		}
	}
	a, err := Adopt(keep(t, l), Config{Output: true})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if on, err := a.Level(); !on || err != nil || a.Pin().Number() != 7 || s.value(t, 7) != "1" {
		t.Errorf("got %v, %v, line %d, %s on the wire; want line 7, high", on, err, a.Pin().Number(), s.value(t, 7))
	}
	if levels := trace.levels(t); len(levels) > 0 {
		t.Errorf("the kernel's trace has %q, want that nothing was done", levels)
	}
}

// TestSimAdoptInput: an input that had other edges tells those that are wanted.
func TestSimAdoptInput(t *testing.T) {
	s := openSim(t)
	s.pull(t, 3, false)
	f := keep(t, s.open(t, 3, Config{Edge: gpio.RisingEdge, Pull: gpio.PullNoChange}))
	a, err := Adopt(f, Config{Edge: gpio.FallingEdge, Pull: gpio.PullNoChange})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	s.pull(t, 3, true)
	s.pull(t, 3, false)
	buf := make([]Event, 4)
	if n, err := a.Events(t.Context(), buf); n != 1 || err != nil || buf[0].Rising {
		t.Errorf("got %d, %v, %+v; want one falling edge", n, err, buf[:n])
	}
}

// TestSimReadingLeavesAnOutput: reading an output, in each way that there is, does nothing to it.
func TestSimReadingLeavesAnOutput(t *testing.T) {
	s := openSim(t)
	l := s.open(t, 6, Config{Output: true, Value: true})
	trace := startTrace(t)
	p := l.pin
	for range 10 {
		if on, err := l.Level(); !on || err != nil || p.Read() != gpio.High || p.Function() != "Out" || p.Pull() != gpio.PullNoChange || p.WaitForEdge(0) {
			t.Fatalf("got %v, %v, %v, %s, %v", on, err, p.Read(), p.Function(), p.Pull())
		}
		if err := p.Halt(); err != nil {
			t.Fatal(err)
		}
	}
	lines, err := Lines(s.chip.Path)
	if err != nil || !lines[6].Output || s.value(t, 6) != "1" {
		t.Errorf("got %+v, %v, %s on the wire; want a high output", lines, err, s.value(t, 6))
	}
	if levels := trace.levels(t); len(levels) > 0 {
		t.Errorf("the kernel's trace has %q, want that nothing was done", levels)
	}
	if err := p.Out(gpio.Low); err != nil || p.Read() != gpio.Low {
		t.Errorf("got %v, %v; want low after Out", err, p.Read())
	}
}

// TestSimOpenErrors: each says what is wrong.
func TestSimOpenErrors(t *testing.T) {
	s := openSim(t)
	if _, err := Open(s.chip.Path, 8, Config{}); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "which has 8") {
		t.Errorf("got %v, want %v", err, ErrNotFound)
	}
	if _, err := Open(s.chip.Path, 0, Config{OpenDrain: true}); err == nil {
		t.Error("an input was taken as an open drain")
	}
	if _, _, err := Find("/dev", s.chip.Label, "GPIO99"); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), s.chip.Label) {
		t.Errorf("got %v, want %v", err, ErrNotFound)
	}
	in := s.open(t, 2, Config{Pull: gpio.PullNoChange})
	if err := in.Set(true); !errors.Is(err, unix.EPERM) {
		t.Errorf("got %v of Set on an input, want %v", err, unix.EPERM)
	}
	if _, err := Open(s.chip.Path, 2, Config{Output: true}); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v, want %v", err, ErrBusy)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := in.Events(ctx, make([]Event, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

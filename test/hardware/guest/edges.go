package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"gateway/test/hardware/talk"
)

// mostHeld bounds what is told of a train with bounces.
const mostHeld = 10_000

// catchUp is how many quarters of a period a late train may take off the next one.
const catchUp = 3

// makeEdges moves the pull of a simulated line up and down, on a thread of its own, each time at its time by the guest's clock.
func makeEdges(t *talk.Train) (talk.Reply, error) {
	if t == nil || t.Count < 1 {
		return talk.Reply{}, fmt.Errorf("want a train of edges, got %+v", t)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	w, err := openWire(t.Line)
	if err != nil {
		return talk.Reply{}, err
	}
	defer w.file.Close()
	m := &talk.Made{First: monotonic()}
	due := m.First
	for range t.Count {
		if err := w.toggleAt(due, m); err != nil {
			return talk.Reply{Made: m}, err
		}
		started := m.Last
		for b := range 2 * t.Bounces {
			if err := w.toggleAt(started+time.Duration(b+1)*t.BouncePeriod, m); err != nil {
				return talk.Reply{Made: m}, err
			}
		}
		// An emulated processor that stood still catches up, but not all at once.
		due = max(due, started-catchUp*t.Period/4) + t.Period
	}
	m.High = w.high
	if t.Bounces == 0 {
		m.Held = nil
	}
	return talk.Reply{Made: m}, nil
}

// wire is the outer end of a simulated line.
type wire struct {
	file *os.File
	high bool
}

// pullFile is where gpio-sim takes what pulls at a line.
func pullFile(line string) (string, error) {
	offset := slices.Index(talk.Lines[:], line)
	if offset < 0 {
		return "", fmt.Errorf("there is no line %q", line)
	}
	found, err := filepath.Glob(fmt.Sprintf("/sys/devices/platform/gpio-sim.*/gpiochip*/sim_gpio%d/pull", offset))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("want one simulated line %s, got %q: %w", line, found, err)
	}
	return found[0], nil
}

func openWire(line string) (*wire, error) {
	name, err := pullFile(line)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(name, os.O_WRONLY, 0)
	return &wire{file: file, high: bytes.HasPrefix(text, []byte("pull-up"))}, err
}

func (w *wire) toggleAt(due time.Duration, m *talk.Made) error {
	for {
		left := due - monotonic()
		if left <= 0 {
			break
		}
		pause := syscall.NsecToTimespec(left.Nanoseconds())
		_ = syscall.Nanosleep(&pause, nil) // interrupted by a signal, it goes round
	}
	word := []byte("pull-up")
	if w.high {
		word = []byte("pull-down")
	}
	if _, err := w.file.WriteAt(word, 0); err != nil {
		return err
	}
	w.high = !w.high
	m.Edges++
	now := monotonic()
	if m.Edges > 1 && len(m.Held) < mostHeld {
		m.Held = append(m.Held, now-m.Last)
	}
	m.Last = now
	m.Late = max(m.Late, m.Last-due)
	return nil
}

// monotonic is CLOCK_MONOTONIC, which the kernel's edges bear too.
func monotonic() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // there is no Linux without it
	}
	return time.Duration(t.Nano())
}

// trustClock tells the kernel that its clock is right: qemu's is the host's. Nothing expires in a gateway whose clock may say anything.
func trustClock() error {
	const status, maxError, estimatedError = 0x10, 0x04, 0x08 // ADJ_STATUS, ADJ_MAXERROR and ADJ_ESTERROR of linux/timex.h
	_, err := unix.Adjtimex(&unix.Timex{Modes: status | maxError | estimatedError})
	return err
}

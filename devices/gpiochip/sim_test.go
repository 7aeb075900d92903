package gpiochip

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/gpio"
)

// These tests drive a chip that the kernel simulates (gpio-sim). `make hardware` runs them in its guest; here there is none.

// sim is a simulated chip: its lines are GPIO17 GPIO27 GPIO22 GPIO5 BTN PIR LED RELAY.
type sim struct {
	chip ChipInfo
	sys  string // the folder with sim_gpio0, sim_gpio1, …
}

func openSim(t *testing.T) sim {
	t.Helper()
	if os.Getenv("GATEWAY_GPIOSIM") != "1" {
		t.Skip("needs a kernel with gpio-sim: make hardware runs it in a guest (GATEWAY_GPIOSIM=1)")
	}
	label := os.Getenv("GATEWAY_GPIOSIM_LABEL")
	chips, err := Chips("/dev")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range chips {
		if c.Label != label {
			continue
		}
		found, err := filepath.Glob("/sys/devices/platform/*/" + c.Name)
		if err != nil || len(found) != 1 {
			t.Fatalf("the chip %s is at %v (%v)", c.Name, found, err)
		}
		return sim{c, found[0]}
	}
	t.Fatalf("no chip has the label %q: %v", label, chips)
	return sim{}
}

// pull sets the level of an input from outside.
func (s sim) pull(t *testing.T, line int, up bool) {
	t.Helper()
	word := "pull-down"
	if up {
		word = "pull-up"
	}
	if err := os.WriteFile(fmt.Sprintf("%s/sim_gpio%d/pull", s.sys, line), []byte(word), 0); err != nil {
		t.Fatal(err)
	}
}

// value is what is on the wire.
func (s sim) value(t *testing.T, line int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("%s/sim_gpio%d/value", s.sys, line))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func (s sim) open(t *testing.T, line int, c Config) *Line {
	t.Helper()
	l, err := Open(s.chip.Path, line, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestSimFind(t *testing.T) {
	s := openSim(t)
	for i, name := range []string{"GPIO17", "GPIO27", "GPIO22", "GPIO5", "BTN", "PIR", "LED", "RELAY"} {
		at, line, err := Find("/dev", "", name)
		if err != nil || at.Path != s.chip.Path || line.Offset != i {
			t.Errorf("%s: got %+v, %+v, %v", name, at, line, err)
		}
	}
}

// TestSimEdges: none is lost, each has the kernel's time and a number that rises by one.
func TestSimEdges(t *testing.T) {
	s := openSim(t)
	s.pull(t, 0, false)
	l := s.open(t, 0, Config{Edge: gpio.BothEdges, Pull: gpio.PullNoChange, Buffer: MaxBuffer})
	const n = 1000
	go func() {
		for i := range n {
			s.pull(t, 0, i%2 == 0)
			<-time.After(5 * time.Millisecond) // the wave that is measured
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	buf := make([]Event, 64)
	last := Event{}
	for got := 0; got < n; {
		k, err := l.Events(ctx, buf)
		if err != nil {
			t.Fatalf("after %d edges: %v", got, err)
		}
		for _, e := range buf[:k] {
			if got++; e.Sequence != uint32(got) || e.Rising != (got%2 == 1) || e.At < last.At || e.At > Now() {
				t.Fatalf("edge %d: got %+v after %+v", got, e, last)
			}
			last = e
		}
	}
	t.Logf("%d edges, none lost", n)
}

// TestSimOverrun: what the kernel had no room for is a hole in the numbers, so that received and lost is what was produced.
func TestSimOverrun(t *testing.T) {
	s := openSim(t)
	s.pull(t, 0, false)
	l := s.open(t, 0, Config{Edge: gpio.BothEdges, Pull: gpio.PullNoChange, Buffer: 32})
	const n = 501 // the last one is read after the others, so that it is told
	for i := range n - 1 {
		s.pull(t, 0, i%2 == 0)
		<-time.After(time.Millisecond) // the wave
	}
	buf := make([]Event, MaxBuffer)
	received, err := l.Events(t.Context(), buf)
	if err != nil {
		t.Fatal(err)
	}
	s.pull(t, 0, true)
	more, err := l.Events(t.Context(), buf[received:])
	if err != nil {
		t.Fatal(err)
	}
	received += more
	lost, next := 0, uint32(1)
	for _, e := range buf[:received] {
		lost += int(e.Sequence - next)
		next = e.Sequence + 1
	}
	t.Logf("%d received + %d lost of %d", received, lost, n)
	if received+lost != n || lost == 0 {
		t.Errorf("%d received + %d lost, want %d", received, lost, n)
	}
}

func TestSimDebounce(t *testing.T) {
	s := openSim(t)
	s.pull(t, 1, false)
	l := s.open(t, 1, Config{Edge: gpio.BothEdges, Pull: gpio.PullNoChange, Debounce: 50 * time.Millisecond, Buffer: MaxBuffer})
	for range 10 { // ten times it bounces, and then holds
		for i := range 8 {
			s.pull(t, 1, i%2 == 0)
			<-time.After(2 * time.Millisecond) // the wave
		}
		s.pull(t, 1, true)
		<-time.After(150 * time.Millisecond)
		s.pull(t, 1, false)
		<-time.After(150 * time.Millisecond)
	}
	buf := make([]Event, 100)
	n, err := l.Events(t.Context(), buf)
	if err != nil || n != 20 {
		t.Errorf("got %d edges (%v), want 20: %+v", n, err, buf[:n])
	}
}

// TestSimOutput: it has its level from the first moment, reading does not turn it into an input, and it is kept over an Adopt.
func TestSimOutput(t *testing.T) {
	s := openSim(t)
	trace := startTrace(t)
	l := s.open(t, 7, Config{Output: true, Value: true, Consumer: "gateway relay"})
	if v := s.value(t, 7); v != "1" {
		t.Errorf("the wire is %s, want 1", v)
	}
	on, err := l.Level()
	if err != nil || !on || l.Pin().Read() != gpio.High {
		t.Errorf("got %v, %v; want on", on, err)
	}
	if _, err := Open(s.chip.Path, 7, Config{Output: true}); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "gateway relay") {
		t.Errorf("got %v, want %v by whom", err, ErrBusy)
	}
	kept, err := unix.FcntlInt(fdOf(t, l), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	next, err := Adopt(os.NewFile(uintptr(kept), "relay"), Config{Output: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = next.Close() }()
	if on, err := next.Level(); !on || err != nil || s.value(t, 7) != "1" {
		t.Errorf("got %v, %v and %s on the wire, want that it is still on", on, err, s.value(t, 7))
	}
	if err := next.Set(false); err != nil || s.value(t, 7) != "0" {
		t.Errorf("got %v and %s on the wire, want 0", err, s.value(t, 7))
	}
	levels := trace.levels(t)
	t.Logf("the kernel's trace: %q", levels)
	if strings.Join(levels, " ") != "out:1 set:0" && strings.Join(levels, " ") != "set:1 out set:0" && strings.Join(levels, " ") != "set:1 out:0 set:0" {
		for i, l := range levels {
			if i < len(levels)-1 && (l == "set:0" || l == "in") {
				t.Errorf("%s: the relay dropped: %q", l, levels)
			}
		}
	}
}

// TestSimPin: an input that becomes an output by Out(High) is never low.
func TestSimPin(t *testing.T) {
	s := openSim(t)
	s.pull(t, 6, true)
	l := s.open(t, 6, Config{Pull: gpio.PullNoChange})
	p := l.Pin()
	trace := startTrace(t)
	if err := p.Out(gpio.High); err != nil || s.value(t, 6) != "1" || p.Read() != gpio.High {
		t.Errorf("got %v and %s on the wire, want high", err, s.value(t, 6))
	}
	for _, l := range trace.levels(t) {
		if l == "set:0" {
			t.Errorf("it was driven low: %q", trace.levels(t))
		}
	}
	if err := p.In(gpio.PullNoChange, gpio.BothEdges); err != nil || l.configured().Output {
		t.Errorf("got %v, %+v; want an input", err, l.configured())
	}
}

func fdOf(t *testing.T, l *Line) (fd uintptr) {
	t.Helper()
	conn, err := l.file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Control(func(f uintptr) { fd = f }); err != nil {
		t.Fatal(err)
	}
	return fd
}

// kernelTrace is the kernel's own timeline of directions and levels.
type kernelTrace struct{ from int }

const tracing = "/sys/kernel/tracing/"

func startTrace(t *testing.T) kernelTrace {
	t.Helper()
	if err := os.WriteFile(tracing+"events/gpio/enable", []byte("1"), 0); err != nil {
		t.Fatalf("the kernel's tracing: %v", err)
	}
	return kernelTrace{len(traceLines(t))}
}

func traceLines(t *testing.T) (lines []string) {
	t.Helper()
	f, err := os.Open(tracing + "trace")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.Contains(s.Text(), "gpio_") {
			lines = append(lines, s.Text())
		}
	}
	return lines
}

// levels are "set:0", "set:1", "in" and "out", as they came.
func (k kernelTrace) levels(t *testing.T) (levels []string) {
	t.Helper()
	for _, line := range traceLines(t)[k.from:] {
		switch _, what, _ := strings.Cut(line, "gpio_"); {
		case strings.Contains(what, " set "):
			levels = append(levels, "set:"+what[len(what)-1:])
		case strings.HasPrefix(what, "direction") && strings.Contains(what, " in "):
			levels = append(levels, "in")
		case strings.HasPrefix(what, "direction"):
			levels = append(levels, "out")
		}
	}
	return levels
}

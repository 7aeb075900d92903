package devices

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gateway"
	"gateway/devices/gpiochip"
)

// wires are what is behind the fake lines: they outlive a process, and keep the timeline of every level and direction.
type wires struct {
	t     *testing.T
	begin time.Time     // of the clock
	zero  time.Duration // of the timeline
	dir   string

	mu       sync.Mutex // guards what follows
	timeline []mark
	all      map[string]*wireState
	watch    func(map[string]*wireState) // called at each change
}

type wireState struct {
	output, on, taken bool
	openErr, setErr   error
	hang              chan struct{} // Set waits until it is closed
	sets              int
}

// mark is one change of a wire, or a call that could have been one.
type mark struct {
	at   time.Duration
	pin  string
	what string // "output on", "output off", "on", "off", "close", "adopt"
}

func (m mark) String() string { return fmt.Sprintf("%v %s %s", m.at, m.pin, m.what) }

func newWires(t *testing.T) *wires {
	return &wires{t: t, begin: time.Now(), dir: t.TempDir(), all: map[string]*wireState{}}
}

func (w *wires) wire(pin string) *wireState {
	if w.all[pin] == nil {
		w.all[pin] = &wireState{}
	}
	return w.all[pin]
}

func (w *wires) set(pin string, change func(*wireState)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w.wire(pin))
}

func (w *wires) on(pin string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wire(pin).on
}

func (w *wires) mark(pin, what string) {
	w.timeline = append(w.timeline, mark{time.Since(w.begin) - w.zero, pin, what})
	if w.watch != nil {
		w.watch(w.all)
	}
}

// take returns what happened since the last take, without the pin where it is the one given.
func (w *wires) take() (lines []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.timeline {
		lines = append(lines, m.String())
	}
	w.timeline = nil
	return lines
}

func (w *wires) Now() time.Duration { return time.Hour + time.Since(w.begin) }

func level(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func (w *wires) Open(pin, _ string, c gpiochip.Config) (line, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.wire(pin)
	if s.openErr != nil {
		return nil, s.openErr
	}
	if s.taken {
		return nil, gpiochip.ErrBusy
	}
	if !c.Output {
		w.t.Errorf("%s was requested as an input", pin)
	}
	s.output, s.taken, s.on = true, true, c.Value != c.ActiveLow
	w.mark(pin, "output "+level(s.on))
	return w.line(pin, c)
}

func (w *wires) line(pin string, c gpiochip.Config) (line, error) {
	f, err := os.Create(filepath.Join(w.dir, pin))
	if err != nil {
		return nil, err
	}
	return &wireLine{w: w, pin: pin, c: c, file: f}, nil
}

// Adopt finds the wire by the name of the file.
func (w *wires) Adopt(f *os.File, c gpiochip.Config) (line, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	pin := filepath.Base(f.Name())
	if !w.wire(pin).taken {
		return nil, fmt.Errorf("%s is not requested", pin)
	}
	w.mark(pin, "adopt")
	return w.line(pin, c)
}

// rezero begins the timeline anew, now.
func (w *wires) rezero() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timeline, w.zero = nil, time.Since(w.begin)
}

// dies is the end of a process: kept of its lines is what systemd has.
func (w *wires) dies(kept map[string]*os.File) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for pin, s := range w.all {
		s.taken = slices.ContainsFunc(slices.Collect(maps.Values(kept)), func(f *os.File) bool { return filepath.Base(f.Name()) == pin })
	}
}

// halt ends the players without a word to the lines, as the end of the process would.
func halt(t *testing.T, all *Outputs) {
	t.Helper()
	for _, p := range all.all() {
		if err := p.wait(func() { p.ending = true }); err != nil {
			t.Fatal(err)
		}
		<-p.done
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	all.closed = true
}

type wireLine struct {
	w    *wires
	pin  string
	c    gpiochip.Config
	file *os.File
}

func (l *wireLine) Events(context.Context, []gpiochip.Event) (int, error) {
	l.w.t.Error("an output was asked for events")
	return 0, gpiochip.ErrGone
}

func (l *wireLine) Level() (bool, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	s := l.w.wire(l.pin)
	return s.on != l.c.ActiveLow, s.setErr
}

func (l *wireLine) Set(on bool) error {
	l.w.mu.Lock()
	hang := l.w.wire(l.pin).hang
	l.w.mu.Unlock()
	if hang != nil {
		<-hang
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	s := l.w.wire(l.pin)
	s.sets++
	if s.setErr != nil {
		return s.setErr
	}
	s.on = on != l.c.ActiveLow
	l.w.mark(l.pin, level(s.on))
	return nil
}

func (l *wireLine) File() *os.File { return l.file }

func (l *wireLine) Close() error {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	l.w.wire(l.pin).taken = false
	l.w.mark(l.pin, "close")
	return l.file.Close()
}

// outputMemory is a Memory of which a crash loses what was only noted.
type outputMemory struct {
	mu      sync.Mutex
	durable map[string][]byte
	noted   map[string][]byte
	commits int
	err     error
	before  func() // called at each commit
}

func newOutputMemory() *outputMemory {
	return &outputMemory{durable: map[string][]byte{}, noted: map[string][]byte{}}
}

func (m *outputMemory) Get(key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.durable[key], nil
}

func (m *outputMemory) Commit(_ context.Context, key string, value []byte) error {
	if m.before != nil {
		m.before()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.commits++
	if m.err != nil {
		return m.err
	}
	maps.Copy(m.durable, m.noted)
	clear(m.noted)
	m.durable[key] = slices.Clone(value)
	return nil
}

func (m *outputMemory) Note(key string, value []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.noted[key] = slices.Clone(value)
}

// flush makes durable what was noted, as the log does soon; crash loses it.
func (m *outputMemory) flush() {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.Copy(m.durable, m.noted)
	clear(m.noted)
}

func (m *outputMemory) crash() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.noted)
}

// outputLog keeps what is appended.
type outputLog struct {
	mu     sync.Mutex
	events []gateway.Event
	err    error
}

func (l *outputLog) Append(ctx context.Context, events ...gateway.Event) (gateway.Offset, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return 0, l.err
	}
	l.events = append(l.events, events...)
	return gateway.Offset(len(l.events)), ctx.Err()
}

func (l *outputLog) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// take returns the events since the last take, as type and data.
func (l *outputLog) take() (lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		lines = append(lines, strings.TrimPrefix(e.Type, "device.")+" "+string(e.Data))
	}
	l.events = nil
	return lines
}

// outputSpec is an output with a pin of its own name.
func outputSpec(name string, change func(*Spec)) Spec {
	s := Spec{Name: name, Type: TypeOutput, Pin: name, Safe: OutputOff, Start: OutputSafe, Stop: OutputSafe}
	if change != nil {
		change(&s)
	}
	return s
}

func mustOutputs(t *testing.T, w *wires, m Memory, o OutputOptions, specs ...Spec) *Outputs {
	t.Helper()
	o.Gateway, o.Memory = "gw", m
	if o.Boot == "" {
		o.Boot = "boot-1"
	}
	all, err := NewOutputs(specs, w, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := all.Close(false); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return all
}

func command(offset gateway.Offset, data string) gateway.Entry {
	return gateway.Entry{Offset: offset, Event: gateway.Event{ID: fmt.Sprintf("id-%d", offset), Source: "//cloud", Type: "command", Data: []byte(data)}}
}

func send(all *Outputs, name string, entries ...gateway.Entry) error {
	s, err := all.Sink(name)
	if err != nil {
		return err
	}
	return s.Send(context.Background(), entries)
}

// sendOK delivers commands, from the given offset on.
func sendOK(t *testing.T, all *Outputs, name string, offset gateway.Offset, data ...string) {
	t.Helper()
	for i, text := range data {
		if err := send(all, name, command(offset+gateway.Offset(i), text)); err != nil {
			t.Fatalf("%s %q: got %v, want it delivered", name, text, err)
		}
	}
}

func wantLines(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got\n  %s\nwant\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

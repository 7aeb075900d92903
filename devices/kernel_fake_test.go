package devices

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"periph.io/x/conn/v3/gpio"

	"gateway"
	"gateway/devices/gpiochip"
)

// fakeKernel is a chip with one line, as the kernel does it: it keeps as many edges as it was asked to, and throws the oldest away when there are more; their
// numbers count on. Its monotonic clock began before the test.
type fakeKernel struct {
	mu       sync.Mutex // guards what follows
	base     time.Time  // of the monotonic clock
	level    bool
	open     *fakeRequest
	refuse   func(gpiochip.Config) error // of Open; nil: none
	most     int                         // the largest buffer; 0: what was asked for
	opened   []gpiochip.Config
	produced int // edges of all lines that were opened
	dropped  int
	given    int // to the one who reads
}

func newFakeKernel() *fakeKernel { return &fakeKernel{base: time.Now().Add(-time.Hour)} }

// fakeRequest is a request of the line. Its kernel's mutex guards it.
type fakeRequest struct {
	k      *fakeKernel
	config gpiochip.Config
	kept   []gpiochip.Event
	number uint32
	gone   error
	closed bool
	wake   chan struct{} // size 1
}

var _ lines = (*fakeKernel)(nil)

func (k *fakeKernel) Now() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return time.Since(k.base)
}

// setClock moves the wall clock, as far as it can be seen from the monotonic one.
func (k *fakeKernel) setClock(forward time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.base = k.base.Add(forward)
	if k.open != nil {
		for i := range k.open.kept {
			k.open.kept[i].At -= forward
		}
	}
}

func (k *fakeKernel) Open(_, _ string, c gpiochip.Config) (line, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.refuse != nil {
		if err := k.refuse(c); err != nil {
			return nil, err
		}
	}
	if k.open != nil {
		return nil, gpiochip.ErrBusy
	}
	if c.Buffer == 0 {
		c.Buffer = 16
	}
	k.opened = append(k.opened, c)
	if k.most > 0 {
		c.Buffer = min(c.Buffer, k.most)
	}
	k.open = &fakeRequest{k: k, config: c, wake: make(chan struct{}, 1)}
	return k.open, nil
}

func (k *fakeKernel) Adopt(*os.File, gpiochip.Config) (line, error) {
	return nil, errors.New("the fake keeps nothing")
}

// set changes the level on the wire, which is an edge if it is another one.
func (k *fakeKernel) set(on bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if on == k.level {
		return
	}
	k.level = on
	l := k.open
	if l == nil || l.gone != nil || l.config.Edge == gpio.NoEdge || on && l.config.Edge == gpio.FallingEdge || !on && l.config.Edge == gpio.RisingEdge {
		return
	}
	l.number++
	k.produced++
	if len(l.kept) == l.config.Buffer {
		k.dropped++
		l.kept = l.kept[1:]
	}
	l.kept = append(l.kept, gpiochip.Event{Rising: on, At: time.Since(k.base), Sequence: l.number})
	l.signal()
}

func (k *fakeKernel) toggle() {
	k.mu.Lock()
	on := !k.level
	k.mu.Unlock()
	k.set(on)
}

// unplug makes the line fail when its edges have been read; Open fails as well.
func (k *fakeKernel) unplug(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refuse = func(gpiochip.Config) error { return err }
	if k.open != nil {
		k.open.gone = err
		k.open.signal()
	}
}

func (k *fakeKernel) plug() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refuse = nil
}

func (k *fakeKernel) configs() []gpiochip.Config {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]gpiochip.Config{}, k.opened...)
}

func (l *fakeRequest) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *fakeRequest) Events(ctx context.Context, buf []gpiochip.Event) (int, error) {
	for {
		l.k.mu.Lock()
		n := copy(buf, l.kept)
		l.kept = l.kept[n:]
		l.k.given += n
		err := l.gone
		l.k.mu.Unlock()
		switch {
		case ctx.Err() != nil && n == 0:
			return 0, ctx.Err()
		case n > 0:
			return n, nil
		case err != nil:
			return 0, err
		}
		select {
		case <-l.wake:
		case <-ctx.Done():
		}
	}
}

func (l *fakeRequest) Level() (bool, error) {
	l.k.mu.Lock()
	defer l.k.mu.Unlock()
	return l.k.level, l.gone
}

func (l *fakeRequest) Set(bool) error { return errors.New("this is an input") }

func (l *fakeRequest) File() *os.File { return nil }

func (l *fakeRequest) Close() error {
	l.k.mu.Lock()
	defer l.k.mu.Unlock()
	if l.closed {
		return errors.New("closed twice")
	}
	l.closed, l.k.open = true, nil
	return nil
}

// slowLog is a log that takes its time, and can be full or broken.
type slowLog struct {
	mu      sync.Mutex // guards what follows
	takes   time.Duration
	full    bool
	broken  error
	events  []gateway.Event
	at      []time.Time
	appends int
	kv      map[string][]byte
}

func (l *slowLog) Append(ctx context.Context, events ...gateway.Event) (gateway.Offset, error) {
	return l.Commit(ctx, gateway.Batch{Events: events})
}

func (l *slowLog) Commit(ctx context.Context, b gateway.Batch) (gateway.Offset, error) {
	l.mu.Lock()
	takes := l.takes
	l.mu.Unlock()
	if takes > 0 && !pause(ctx, takes) {
		return 0, ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case l.broken != nil:
		return 0, l.broken
	case l.full:
		return 0, gateway.ErrFull
	}
	l.appends++
	for _, e := range b.Events {
		l.events, l.at = append(l.events, e), append(l.at, time.Now())
	}
	for _, kv := range b.KV {
		if l.kv == nil {
			l.kv = map[string][]byte{}
		}
		l.kv[kv.Key] = kv.Value
	}
	return gateway.Offset(len(l.events)), nil
}

func (l *slowLog) Load(key string) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kv[key], l.broken
}

func (l *slowLog) set(fn func(*slowLog)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fn(l)
}

// taken is what was appended since the last call.
func (l *slowLog) taken() []gateway.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	events := l.events
	l.events = nil
	return events
}

// running starts the device; the function that it returns stops it, and waits.
func running(t *testing.T, d Device, out gateway.Appender) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx, out) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run ended with: %v", err)
		}
	}
}

func testCommon() Common { return Common{Gateway: "g1", Logger: slog.New(slog.DiscardHandler)} }

// fields are the data of an event.
func fields(t *testing.T, e gateway.Event) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(e.Data, &m); err != nil {
		t.Fatalf("%s has the data %q: %v", e.Type, e.Data, err)
	}
	return m
}

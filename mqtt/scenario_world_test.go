package mqtt

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gateway"
)

// setup is what a scenario wants of a broker; zero values are what any broker may choose.
type setup struct {
	users          map[string]string // name → password
	rules          []Rule
	fullTimeout    time.Duration
	connectTimeout time.Duration
	receiveMaximum uint16
	tls            *tls.Config
	panics         bool // the scenario makes the library panic: that is contained, and counted
}

// server is a broker that runs: ours, or one of the naive designs.
type server struct {
	addr    string
	clients func() int64 // connected
	status  func() gateway.BrokerStatus
}

// design starts a broker that stores in log.
type design func(t testing.TB, s setup, log *fakeLog) server

// world is where a scenario plays: a broker of some design, its log, and patience with both.
type world struct {
	testing.TB
	design   design
	patience time.Duration
	log      *fakeLog
	server   server
}

// start starts the broker. A scenario may start several, one after the other.
func (w *world) start(s setup) {
	w.Helper()
	w.log = newFakeLog(w.TB)
	w.server = w.design(w.TB, s, w.log)
}

func setupPolicy(t testing.TB, s setup) *Policy {
	t.Helper()
	var users strings.Builder
	for name, password := range s.users {
		fmt.Fprintf(&users, "%s:%s\n", name, cheapHash(t, password))
	}
	p, err := NewPolicy(writeFile(t, "users", users.String()), s.rules)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// dial opens a connection of that MQTT version.
func (w *world) dial(version byte) *rawClient {
	w.Helper()
	return dialRaw(w.TB, w.server.addr, version, w.patience, nil)
}

// join opens a connection and a session.
func (w *world) join(version byte, h hello) *rawClient {
	w.Helper()
	c := w.dial(version)
	c.connect(h)
	return c
}

// watcher is a subscriber of QoS 0 that nothing is expected of but to show what is delivered.
func (w *world) watcher(filters ...string) *rawClient {
	w.Helper()
	c := w.join(4, hello{id: "watcher"})
	c.subscribe(0, filters...)
	return c
}

// nothingElse makes sure that nothing else is on its way to a subscriber of the topic "marker": it is delivered to in
// the order of the publishes, though an answer to a ping may overtake them.
func (w *world) nothingElse(subscriber *rawClient) {
	w.Helper()
	c := w.join(4, hello{id: "marks"})
	defer c.close()
	c.publish(message{topic: "marker", payload: "marker"})
	subscriber.expectMessage("marker")
}

func (w *world) until(what string, cond func() bool) {
	w.Helper()
	eventually(w.TB, w.patience, what, cond)
}

// untilWaiting waits until that many events are with the log and not durable.
func (w *world) untilWaiting(n int) {
	w.Helper()
	waiting := 0
	w.until(fmt.Sprintf("%d events wait for their commit", n), func() bool { waiting, _, _ = w.log.counts(); return waiting >= n })
	if waiting != n {
		w.Fatalf("got %d events waiting for their commit, want %d", waiting, n)
	}
}

// untilCommitted waits until that many batches are durable and their callbacks have returned.
func (w *world) untilCommitted(n int) {
	w.Helper()
	w.until(fmt.Sprintf("%d batches committed", n), func() bool { _, committed, _ := w.log.counts(); return committed >= n })
}

// wantStored waits for the log to have these payloads, in this order, and no others.
func (w *world) wantStored(payloads ...string) {
	w.Helper()
	w.until(fmt.Sprintf("%d events durable", len(payloads)), func() bool { return len(w.log.events()) >= len(payloads) })
	if got := w.log.payloads(); !slices.Equal(got, payloads) {
		w.Fatalf("got stored %q, want %q", got, payloads)
	}
}

// recorder is a testing.TB that takes note of failures instead of failing.
type recorder struct {
	testing.TB
	goexit   func()
	mu       sync.Mutex
	failures []string
}

func (r *recorder) note(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, text)
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.failures) > 0
}

func (r *recorder) Helper()                   {}
func (r *recorder) Error(args ...any)         { r.note(fmt.Sprint(args...)) }
func (r *recorder) Errorf(f string, a ...any) { r.note(fmt.Sprintf(f, a...)) }
func (r *recorder) Fail()                     { r.note("failed") }
func (r *recorder) FailNow()                  { r.note("failed"); r.goexit() }
func (r *recorder) Fatal(args ...any)         { r.note(fmt.Sprint(args...)); r.goexit() }
func (r *recorder) Fatalf(f string, a ...any) { r.note(fmt.Sprintf(f, a...)); r.goexit() }

// startOurs starts our broker. At the end of the test nothing may have panicked, and the counters must add up.
func startOurs(t testing.TB, s setup, log *fakeLog) server {
	t.Helper()
	o := Options{
		GatewayID:      "gw",
		Listeners:      []Listener{{Address: "127.0.0.1:0", TLS: s.tls}},
		Policy:         setupPolicy(t, s),
		ConnectTimeout: s.connectTimeout,
		FullTimeout:    s.fullTimeout,
		ReceiveMaximum: s.receiveMaximum,
		Logger:         slog.New(slog.DiscardHandler),
	}
	b, err := New(o, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		log.open()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: got %v, want nil", err)
		}
		if err := b.Close(); err != nil {
			t.Errorf("Close: got %v, want nil", err)
		}
		status := b.Status()
		if s.panics {
			status.Panics = 0
		}
		checkStatus(t, status)
	})
	return server{
		addr:    b.Addrs()[0].String(),
		clients: func() int64 { return b.Status().Clients },
		status:  b.Status,
	}
}

func checkStatus(t testing.TB, s gateway.BrokerStatus) {
	t.Helper()
	if s.Panics != 0 {
		t.Errorf("got %d panics, want none", s.Panics)
	}
	if sum := s.Stored + s.Unlogged + s.Duplicates + s.Refused + s.Dropped + s.Disconnected; s.Received != sum {
		t.Errorf("got %d publishes received and %d accounted for: %+v", s.Received, sum, s)
	}
}

package mqttsink

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"gateway"
	"gateway/forwarder"
	"gateway/internal/faultproxy"
	"gateway/internal/gatewaytest"
)

// forward runs a forwarder from log to s until the test ends.
func forward(t *testing.T, log *gatewaytest.FakeLog, s gateway.Sink) *forwarder.Forwarder {
	t.Helper()
	o := forwarder.Default()
	o.Name, o.Log, o.Sink = "up", log, s
	o.BatchSize = 100
	o.RetryMin, o.RetryMax, o.DrainTimeout = time.Millisecond, 20*time.Millisecond, 100*time.Millisecond
	o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	f, err := forwarder.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return f
}

// feed appends n events whose data are their numbers, from first.
func feed(t *testing.T, log *gatewaytest.FakeLog, first, n int) {
	t.Helper()
	events := make([]gateway.Event, n)
	for i := range events {
		events[i] = gateway.Event{Source: "//test", Type: "test.reading", Subject: "t/s", Data: []byte(strconv.Itoa(first + i))}
	}
	if _, err := log.Append(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
}

// TestCutBetweenPublishAndPuback cuts the line 100 times while publishes wait for their acknowledgement, by reset,
// close and silence, and compares what a subscriber at the upstream received with what was in the log.
func TestCutBetweenPublishAndPuback(t *testing.T) {
	t.Parallel()
	const cuts, window, each = 100, 32, 100
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	m := startMosquitto(t, t.TempDir(), "allow_anonymous true\n")
	r := subscribe(t, m.addr, nil)
	p, err := faultproxy.New(m.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	o := options(t, p.Addr())
	o.Format, o.Window, o.AckTimeout, o.ConnectTimeout = FormatRaw, window, 100*time.Millisecond, 500*time.Millisecond
	log := gatewaytest.NewLog()
	f := forward(t, log, newSink(t, o))

	total := 0
	for i := range cuts {
		how := []faultproxy.How{faultproxy.Reset, faultproxy.Close, faultproxy.Silence}[i%3]
		// Down: the broker has the publish, and what we get of its PUBACKs ends after so many bytes, often within one.
		fired := p.CutAfterBytes(faultproxy.Down, 4+random.Int64N(each*4/2), how)
		if i%4 == 3 {
			fired = p.CutAfterBytes(faultproxy.Up, 100+random.Int64N(each*10/2), how)
		}
		feed(t, log, total, each)
		total += each
		select {
		case <-fired:
		case <-time.After(patience):
			t.Fatalf("cut %d was not reached: %+v", i, f.Status())
		}
	}
	got := r.wait(t, fmt.Sprintf("the last of %d events", total), func(m []message) bool {
		return len(m) > 0 && m[len(m)-1].payload == strconv.Itoa(total-1)
	})
	again, steps := checkArrivals(t, got, total, window)
	s := f.Status()
	t.Logf("%d cuts: %d events, %d received again in %d steps back, %d connections, %d failed attempts", cuts, total, again, steps, p.Opened(), s.Failures)
	if again == 0 {
		t.Error("nothing was received twice: no cut was between PUBLISH and PUBACK")
	}
	if s.DeadLettered != 0 || s.Failures < cuts/2 {
		t.Errorf("status %+v: want no dead letters, and most cuts to fail an attempt", s)
	}
}

// checkArrivals fails on a gap, on a first arrival out of order, and on a step back of more than the window.
func checkArrivals(t *testing.T, got []message, total, window int) (again, steps int) {
	t.Helper()
	newest, before := -1, -1
	for i, m := range got {
		n, err := strconv.Atoi(m.payload)
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if n > newest+1 {
			t.Fatalf("message %d: %d came after %d: lost or out of order", i, n, newest)
		}
		if n != before+1 {
			steps++
			if back := before - n + 1; back < 1 || back > window {
				t.Errorf("message %d: %d came after %d: %d sent again, the window is %d", i, n, before, back, window)
			}
		}
		if n <= newest {
			again++
		}
		newest, before = max(newest, n), n
	}
	if newest != total-1 {
		t.Errorf("the newest is %d, want %d", newest, total-1)
	}
	return again, steps
}

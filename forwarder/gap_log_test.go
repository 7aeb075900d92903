package forwarder_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"gateway"
	"gateway/buffer"
	"gateway/forwarder"
	"gateway/internal/gatewaytest"
)

// TestEveryOffsetIsDeliveredOrInAGap runs a forwarder over a real log that drops its oldest events while the endpoint is down.
// When it is up again, the upstream has, or knows that it will never have, every offset.
func TestEveryOffsetIsDeliveredOrInAGap(t *testing.T) {
	t.Parallel()
	l, err := buffer.Open(buffer.Options{Dir: t.TempDir(), MaxSize: buffer.MinMaxSize, DropOldest: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	var up atomic.Bool
	sink := &gatewaytest.FakeSink{SendFunc: func(context.Context, []gateway.Entry) error {
		if up.Load() {
			return nil
		}
		return errors.New("connection refused")
	}}
	f := run(t, l, sink)
	fill(t, l, 70<<20)
	lost := l.Status().Lost[gateway.LostFull]
	if lost == 0 {
		t.Fatal("nothing was dropped")
	}
	f.end(t) // and a restart, with what it had in hand
	f = run(t, l, sink)
	up.Store(true)
	last := fill(t, l, 1<<20)
	f.waitUntil(t, last)
	f.end(t)

	at, gaps := gateway.Offset(0), 0
	for _, e := range sink.Delivered() {
		from := e.Offset
		if e.Event.Type == gateway.TypeGap {
			var g gateway.Gap
			if err := json.Unmarshal(e.Event.Data, &g); err != nil {
				t.Fatal(err)
			}
			from = g.From
			gaps++
		}
		if from != at+1 {
			t.Fatalf("offset %d follows %d", from, at)
		}
		at = e.Offset
	}
	if at != last || gaps == 0 { // more than one, where the log dropped again while the forwarder caught up
		t.Errorf("got %d gaps and the last offset %d, want some and %d", gaps, at, last)
	}
	t.Logf("%d events, %d of them lost", last, lost)
}

type running struct {
	*forwarder.Forwarder
	stop context.CancelFunc
	ran  chan error
}

func run(t *testing.T, l *buffer.Log, sink gateway.Sink) running {
	t.Helper()
	o := forwarder.Default()
	o.Name, o.Sink, o.Log, o.Logger = "up", sink, l, slog.New(slog.DiscardHandler)
	o.RetryMin, o.RetryMax = time.Millisecond, 10*time.Millisecond
	f, err := forwarder.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	r := running{f, stop, make(chan error, 1)}
	go func() { r.ran <- f.Run(ctx) }()
	return r
}

func (r running) end(t *testing.T) {
	t.Helper()
	r.stop()
	if err := <-r.ran; err != nil {
		t.Errorf("run: %v", err)
	}
}

func (r running) waitUntil(t *testing.T, settled gateway.Offset) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); ; <-tick.C {
		s := r.Status()
		if s.Settled >= settled && s.Waiting == 0 && s.Lag == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("got %+v, want everything up to %d settled", s, settled)
		}
	}
}

// fill appends events of 20 KB that do not compress, and returns the last offset.
func fill(t *testing.T, l *buffer.Log, bytes int) (last gateway.Offset) {
	t.Helper()
	rng := rand.NewChaCha8([32]byte{1})
	for ; bytes > 0; bytes -= 200 << 10 {
		events := make([]gateway.Event, 10)
		for i := range events {
			data := make([]byte, 20<<10)
			_, _ = rng.Read(data)
			events[i] = gateway.Event{Source: "//t", Type: "t", Subject: "a/b", Data: data}
		}
		tick := time.NewTicker(5 * time.Millisecond)
		for {
			var err error
			if last, err = l.Append(t.Context(), events...); err == nil {
				break
			}
			if !errors.Is(err, gateway.ErrFull) {
				t.Fatal(err)
			}
			<-tick.C
		}
		tick.Stop()
	}
	return last
}

package mqttsink

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"gateway"
)

// TestTwoWays sends on both ways of one connection at a time, against a broker that acknowledges one of them late and cuts now and then. Each way
// keeps its order, an acknowledgement counts for its own way alone, and no more than the window is sent again after a cut.
func TestTwoWays(t *testing.T) {
	t.Parallel()
	const window, each, cuts = 20, 2000, 10
	var mu sync.Mutex
	seen := map[string]bool{}
	order := map[string][]string{}
	again := 0
	b := startFakeBroker(t, 0, func(n int, c *brokerConn) {
		var late []uint16
		for i := 1; ; i++ {
			id, payload, err := c.publish()
			if err != nil {
				return
			}
			lane, _, _ := strings.Cut(payload, " ")
			mu.Lock()
			if seen[payload] {
				again++
			} else {
				seen[payload] = true
				order[lane] = append(order[lane], payload)
			}
			mu.Unlock()
			if lane == "slow" {
				late = append(late, id)
			} else {
				c.ack(id)
			}
			if n <= cuts && i == 150+n {
				return // with what was not acknowledged
			}
			if c.in.Buffered() == 0 {
				c.ack(late...)
				late = nil
			}
		}
	})
	o := options(t, b.addr)
	o.Format, o.Window, o.Ways = FormatRaw, window, 2
	s := newSink(t, o)
	var sending sync.WaitGroup
	for _, lane := range []string{"fast", "slow"} {
		sending.Go(func() {
			var batch []gateway.Entry
			for i := range each {
				text := fmt.Sprint(lane, " ", i)
				batch = append(batch, gateway.Entry{Event: gateway.Event{ID: text, Source: "//t", Type: "t", Subject: "s", Data: []byte(text)}})
			}
			if err := sendAll(t.Context(), s, batch); err != nil {
				t.Errorf("%s: %v", lane, err)
			}
		})
	}
	sending.Wait()
	mu.Lock()
	defer mu.Unlock()
	for lane, payloads := range order {
		if len(payloads) != each {
			t.Errorf("%s: got %d of %d", lane, len(payloads), each)
		}
		for i, p := range payloads {
			if want := fmt.Sprint(lane, " ", i); p != want {
				t.Fatalf("%s: got %q in place %d", lane, p, i)
			}
		}
	}
	if again == 0 || again > cuts*window {
		t.Errorf("%d were sent again after %d cuts, want some, and %d at most", again, cuts, cuts*window)
	}
	t.Logf("%d sent again after %d cuts with a window of %d", again, cuts, window)
}

// sendAll sends until all of batch is acknowledged.
func sendAll(ctx context.Context, s *Sink, batch []gateway.Entry) error {
	for len(batch) > 0 {
		n := min(len(batch), 500)
		err := s.Send(ctx, batch[:n])
		var parts *gateway.BatchError
		switch {
		case err == nil:
		case errors.As(err, &parts):
			for n = 0; parts.Errors[n] == nil; n++ { // up to the first that failed
			}
		case ctx.Err() != nil:
			return err
		default:
			n = 0
		}
		batch = batch[n:]
	}
	return nil
}

// TestSizeOf is what is written.
func TestSizeOf(t *testing.T) {
	t.Parallel()
	s := newSink(t, options(t, "127.0.0.1:1"))
	e := gateway.Entry{Event: gateway.Event{ID: "1", Source: "//t", Type: "t", Subject: "hall/1", Data: []byte(strings.Repeat("x", 200))}}
	packet, err := s.encoder.append(nil, &e.Event, 7)
	if got := s.SizeOf(&e); err != nil || got != len(packet) {
		t.Errorf("got %d, %v; want %d", got, err, len(packet))
	}
	e.Event.Subject = "no/#/topic"
	if got := s.SizeOf(&e); got != 0 {
		t.Errorf("got %d for what can never be sent, want 0", got)
	}
}

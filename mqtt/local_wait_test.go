package mqtt

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"gateway"
)

func TestLocalSinkWaitsForASubscriber(t *testing.T) {
	t.Parallel()
	b, addr := startBroker(t, Options{}, newFakeLog(t))
	if err := newLocal(t, b, nil).Send(t.Context(), localEntries("cmd/a", 0, 1)); err != nil {
		t.Errorf("got %v, want success without a subscriber", err)
	}
	s := newLocal(t, b, func(o *LocalOptions) { o.RequireSubscriber = true })
	device(t, addr, 4, hello{id: "b"}, "$share/g/cmd/b")
	batch := append(localEntries("cmd/a", 1, 2), localEntries("cmd/b", 3, 1)...)
	if err := s.Send(t.Context(), batch); !errors.Is(err, errNoSubscriber) || errors.As(err, new(*gateway.BatchError)) {
		t.Fatalf("got %v, want %v for all: nothing was published", err, errNoSubscriber)
	}
	err := s.Send(t.Context(), append(localEntries("cmd/b", 0, 1), batch...))
	var parts *gateway.BatchError
	if !errors.As(err, &parts) {
		t.Fatalf("got %v, want a BatchError", err)
	}
	for i, want := range []error{nil, errNoSubscriber, errNoSubscriber, errNoSubscriber} { // what is behind one that waits is not published
		got := parts.Errors[i]
		if !errors.Is(got, want) || errors.Is(got, gateway.ErrPermanent) || errors.Is(got, gateway.ErrBlocked) {
			t.Errorf("event %d: got %v, want %v without a class", i, got, want)
		}
	}
	away := device(t, addr, 4, hello{id: "a", keep: true}, "cmd/a") // a session counts, connected or not
	away.close()
	if err := s.Send(t.Context(), batch[:2]); err != nil {
		t.Fatalf("got %v, want success", err)
	}
	away = dialRaw(t, addr, 4, patience, nil)
	away.connect(hello{id: "a", keep: true})
	away.ack(packets.Puback, away.expectMessage("1").id)
	away.ack(packets.Puback, away.expectMessage("2").id)
}

// TestLocalSinkWaitsForAcknowledgements: Send returns when every connected device has acknowledged, and not while one has not.
func TestLocalSinkWaitsForAcknowledgements(t *testing.T) {
	t.Parallel()
	b, addr := startBroker(t, Options{}, newFakeLog(t))
	s := newLocal(t, b, func(o *LocalOptions) { o.RequireAck = true })
	if err := s.Send(t.Context(), localEntries("cmd/a", 0, 2)); !errors.Is(err, errNobodyNow) {
		t.Errorf("got %v, want %v", err, errNobodyNow)
	}
	one, two := device(t, addr, 4, hello{id: "one"}, "cmd/#"), device(t, addr, 5, hello{id: "two"}, "cmd/a")
	away := device(t, addr, 4, hello{id: "away", keep: true}, "cmd/a")
	away.close()
	eventually(t, patience, "the end of a connection", func() bool {
		cl, ok := b.server.Clients.Get("away")
		return ok && cl.Closed()
	})
	sent := make(chan error, 1)
	go func() { sent <- s.Send(t.Context(), localEntries("cmd/a", 0, 2)) }()
	for i := range 2 {
		one.ack(packets.Puback, one.expectMessage(fmt.Sprint(i)).id)
		last := two.expectMessage(fmt.Sprint(i)).id
		select {
		case err := <-sent:
			t.Fatalf("Send returned %v before all was acknowledged", err)
		default:
		}
		two.ack(packets.Puback, last)
	}
	if err := <-sent; err != nil {
		t.Errorf("got %v, want success", err)
	}
}

// TestLocalSinkExpiry: a command for a device that is away is not delivered when its time is over.
func TestLocalSinkExpiry(t *testing.T) {
	t.Parallel()
	b, addr := startBroker(t, Options{}, newFakeLog(t))
	c := device(t, addr, 5, hello{id: "c", keep: true}, "cmd")
	batch := localEntries("cmd", 0, 2)
	batch[0].Event.Extensions = map[string]string{gateway.ExtExpiry: time.Now().Add(time.Hour).Format(time.RFC3339)}
	batch[1].Event.Extensions = map[string]string{gateway.ExtExpiry: time.Now().Add(2 * time.Second).Format(time.RFC3339Nano)}
	if err := newLocal(t, b, nil).Send(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	first, second := c.expectMessage("0"), c.expectMessage("1")
	if got := first.props.MessageExpiryInterval; got < 3500 || got > 3601 {
		t.Errorf("got an expiry of %d s, want about 3600", got)
	}
	if got := second.props.MessageExpiryInterval; got < 1 || got > 2 {
		t.Errorf("got an expiry of %d s, want 1 or 2", got)
	}
	c.close() // nothing was acknowledged
	eventually(t, patience, "one of the two has expired", func() bool {
		cl, ok := b.server.Clients.Get("c")
		return ok && cl.State.Inflight.Len() == 1
	})
	c = dialRaw(t, addr, 5, patience, nil)
	c.connect(hello{id: "c", keep: true})
	c.ack(packets.Puback, c.expectMessage("0").id)
	c.quiet()
}

// TestLocalSinkWaitsForRoom: a routing queue that is full holds Send up, until its context ends, and nothing is lost.
func TestLocalSinkWaitsForRoom(t *testing.T) {
	t.Parallel()
	b, addr := startBroker(t, Options{RouteQueue: 4}, newFakeLog(t))
	c := device(t, addr, 4, hello{id: "c"}, "cmd")
	s := newLocal(t, b, nil)
	b.router.hold.Lock() // nothing is routed
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Send(ctx, localEntries("cmd", 0, 1)) }()
	eventually(t, patience, "the first is being routed", func() bool {
		b.router.mu.Lock()
		defer b.router.mu.Unlock()
		return b.router.first == nil && b.router.last != nil && b.router.count == 0
	})
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("got %v for what is with the router, want nil", err)
	}
	for i := range 4 { // fills the queue
		bt := b.newBatch(&session{b: b}, nil)
		bt.addRoute(&publish{topic: "cmd", payload: fmt.Append(nil, i+1), qos: 1}, -1)
		b.router.push(bt)
	}
	ctx, cancel = context.WithCancel(t.Context())
	go func() { ended <- s.Send(ctx, localEntries("cmd", 90, 2)) }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) || errors.Is(err, gateway.ErrPermanent) {
		t.Errorf("got %v, want the context's error", err)
	}
	go func() { ended <- s.Send(t.Context(), localEntries("cmd", 5, 20)) }()
	b.router.hold.Unlock()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for i := range 25 {
		c.ack(packets.Puback, c.expectMessage(fmt.Sprint(i)).id)
	}
	if got := b.Status().RouteDropped; got > 0 {
		t.Errorf("got %d dropped, want none", got)
	}
}

func TestLocalSinkUnderLoadOfDevices(t *testing.T) {
	t.Parallel()
	log := newFakeLog(t)
	b, addr := startBroker(t, Options{RouteQueue: 8}, log)
	c := device(t, addr, 4, hello{id: "c"}, "cmd/#")
	s := newLocal(t, b, nil)
	stop := make(chan struct{})
	var load sync.WaitGroup
	load.Go(func() {
		pub := dialRaw(t, addr, 4, patience, nil)
		pub.connect(hello{id: "pub"})
		for id := uint16(1); ; id = id%1000 + 1 {
			pub.publish(message{topic: "t", payload: "x", qos: 1, id: id})
			pub.expectAck(packets.Puback, id)
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	var sending sync.WaitGroup
	for _, topic := range []string{"cmd/a", "cmd/b"} { // two goroutines, as a forwarder with two lanes
		sending.Go(func() {
			for i := 0; i < 300; i += 30 {
				if err := s.Send(t.Context(), localEntries(topic, i, 30)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	next := map[string]int{}
	for range 600 {
		r := c.expect(packets.Publish)
		if r.payload != fmt.Sprint(next[r.topic]) {
			t.Fatalf("got %v, want %d", r, next[r.topic])
		}
		next[r.topic]++
		c.ack(packets.Puback, r.id)
	}
	sending.Wait()
	close(stop)
	load.Wait()
}

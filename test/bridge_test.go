package test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gateway/internal/load/wire"
	"gateway/test/rig"
)

// TestTwoGatewaysBridgedBothWaysDoNotEcho wires two gateways so that each forwards everything to the other. Every event is in both logs once; what
// comes back is acknowledged and let go.
func TestTwoGatewaysBridgedBothWaysDoNotEcho(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	a.Delivery, b.Delivery = forwardTo(b.Addr), forwardTo(a.Addr)
	wantSettled(t, a, b, 300, 300)
}

// TestSubscribedBackDoesNotEcho wires one gateway both ways: it forwards everything to the other and subscribes to everything there. Its own events come
// back as the CloudEvents that they are, and are let go. What the other's devices publish raw has no origin on that way: it goes back once, as an
// event of the first gateway, and no further.
func TestSubscribedBackDoesNotEcho(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	a.Delivery = forwardTo(b.Addr) + fmt.Sprintf("sources:\n  - {name: other, type: mqtt, url: \"tcp://%s\", topics: \"#\"}\n", b.Addr)
	wantSettled(t, a, b, 300, 400)
}

// pair is two gateways that know each other's addresses.
func pair(t *testing.T) (a, b *rig.Gateway) {
	t.Helper()
	var both [2]*rig.Gateway
	for i, name := range []string{"a", "b"} {
		g := gateway(t)
		addr, err := rig.FreeAddr()
		if err != nil {
			t.Fatal(err)
		}
		g.Name, g.Addr = name, addr
		both[i] = &g
	}
	return both[0], both[1]
}

// wantSettled publishes 200 readings at a and 100 at b, and wants so many events in each when nothing moves any more.
func wantSettled(t *testing.T, a, b *rig.Gateway, inA, inB uint64) {
	t.Helper()
	start(t, b)
	start(t, a)
	if strings.Contains(a.Delivery, "sources") {
		waitFor(t, a, "its source's connection", func(s *state) bool { return len(s.Sources) == 1 && s.Sources[0].State == "connected" })
	}
	publishReadings(t, a.Addr, 200)
	publishReadings(t, b.Addr, 100)
	waitFor(t, a, "the events of both", func(s *state) bool {
		return s.Log.Last >= inA && len(s.Forwarders) == 1 && s.Forwarders[0].Waiting == 0
	})
	waitFor(t, b, "the events of both", func(s *state) bool { return s.Log.Last >= inB })
	var before [2]state
	same := 0
	quiet := rig.Poll(t.Context(), 30*time.Second, func() bool {
		now := [2]state{status(t, a), status(t, b)}
		if same++; fmt.Sprint(now) != fmt.Sprint(before) {
			same = 0
		}
		before = now
		return same == 20
	})
	if !quiet || before[0].Log.Last != inA || before[1].Log.Last != inB {
		t.Errorf("quiet %t: got %+v; want %d and %d events", quiet, before, inA, inB)
	}
	looped := before[0].Broker.Looped
	for _, s := range before[0].Sources {
		looped += s.Looped
	}
	if looped < 200 {
		t.Errorf("got %d events of a's that came back and were let go, want 200 at least", looped)
	}
	t.Logf("in a %d events, in b %d; %d came back to a, %d to b", before[0].Log.Last, before[1].Log.Last, looped, before[1].Broker.Looped)
}

// forwardTo forwards everything to the gateway at addr.
func forwardTo(addr string) string {
	return fmt.Sprintf("forwarders:\n  - {name: other, retry: {min: 50ms, max: 500ms}, sink: {type: mqtt, url: \"tcp://%s\"}}\n", addr)
}

// publishReadings publishes n readings as a device, and waits for the acknowledgement of each.
func publishReadings(t *testing.T, addr string, n int) {
	t.Helper()
	conn, _, err := wire.Dial(addr, wire.Options{ClientID: "device"}, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var out []byte
	for i := range n {
		out = wire.AppendPublish(out, "hall/1", uint16(i+1), 1, false, fmt.Append(nil, i))
	}
	if _, err := conn.Write(out); err != nil {
		t.Fatal(err)
	}
	reader := wire.NewReader(conn, 4096)
	for range n {
		if first, _, err := reader.Next(); err != nil || first != wire.Puback {
			t.Fatalf("got packet 0x%02x, %v; want a PUBACK", first, err)
		}
	}
}

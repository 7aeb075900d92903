package mqtt

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"
)

// publishAll publishes with QoS 1, in steps, and returns when all is routed.
func publishAll(c *rawClient, list ...message) {
	c.t.Helper()
	for i, m := range list {
		m.qos, m.id = 1, uint16(i%60_000+1)
		c.publish(m)
		c.expectAck(packets.Puback, m.id)
	}
	c.send(c.subscribeFrame(1, 0, "none"))
	c.expect(packets.Suback)
}

// TestRetainedMemoryIsBounded: what there is no room to retain is stored, acknowledged and routed, and no stale publish
// is left in its place.
func TestRetainedMemoryIsBounded(t *testing.T) {
	t.Parallel()
	var said safeBuilder
	log := newFakeLog(t)
	b, addr := startBroker(t, Options{Logger: slog.New(slog.NewTextHandler(&said, nil))}, log)
	live := dialRaw(t, addr, 4, patience, nil)
	live.connect(hello{id: "live"})
	live.subscribe(0, "last")
	pub := dialRaw(t, addr, 5, patience, nil)
	pub.connect(hello{id: "pub"})
	user := slices.Concat([]byte{0x26}, text("name"), text(strings.Repeat("p", 60_000)))
	const half = retainedBytes / 2 / 60_000
	list := []message{{topic: "last", payload: "old", retain: true}}
	for i := range half {
		list = append(list, message{topic: fmt.Sprint("payload/", i), payload: strings.Repeat("x", 60_000), retain: true})
	}
	for i := range half + 10 {
		list = append(list, message{topic: fmt.Sprint("props/", i), payload: "x", retain: true, props: [][]byte{user}})
	}
	list = append(list, message{topic: "last", payload: strings.Repeat("n", 60_000), retain: true})
	publishAll(pub, list...)

	live.expectMessage("old")
	live.expectMessage(strings.Repeat("n", 60_000))
	if got := len(log.events()); got != len(list) {
		t.Errorf("got %d events stored, want %d", got, len(list))
	}
	bytes, stale := 0, false
	for _, pk := range b.server.Topics.Messages("#") {
		bytes += len(pk.TopicName) + len(pk.Payload) + propertiesSize(&pk.Properties)
		stale = stale || pk.TopicName == "last"
	}
	if stale || bytes > retainedBytes || bytes < retainedBytes*9/10 {
		t.Errorf("got %d bytes retained, want at most %d and not much less; a stale one is there: %v", bytes, retainedBytes, stale)
	}
	if !strings.Contains(said.String(), "no room to retain") {
		t.Errorf("got the log %q, want it to say so", said.String())
	}
}

// TestDeliveriesToAnAbsentSessionAreBounded: what waits for sessions without a connection is bounded by its bytes, for
// each and for all; what does not fit is counted, and the room comes back.
func TestDeliveriesToAnAbsentSessionAreBounded(t *testing.T) {
	t.Parallel()
	b, addr := startBroker(t, Options{}, newFakeLog(t))
	const sessions, many, size = 12, 20, 200_000
	join := func(i int) *rawClient {
		c := dialRaw(t, addr, 4, patience, nil)
		c.connect(hello{id: fmt.Sprint("sub", i), keep: true})
		return c
	}
	for i := range sessions {
		c := join(i)
		c.subscribe(byte(1+i%2), "t")
		c.close()
	}
	eventually(t, patience, "they are away", func() bool { return b.Status().Clients == 0 })
	pub := dialRaw(t, addr, 4, patience, nil)
	pub.connect(hello{id: "pub"})
	list := make([]message, many)
	for i := range list {
		list[i] = message{topic: "t", payload: fmt.Sprintf("%02d", i) + strings.Repeat("x", size)}
	}
	publishAll(pub, list...)
	bytes, kept := 0, 0
	for i := range sessions {
		cl, ok := b.server.Clients.Get(fmt.Sprint("sub", i))
		if !ok {
			t.Fatalf("session %d is gone", i)
		}
		mine := 0
		for _, pk := range cl.State.Inflight.GetAll(false) {
			mine += len(pk.Payload)
			kept++
		}
		if mine > waitingEach {
			t.Errorf("session %d: %d bytes wait, the most is %d", i, mine, waitingEach)
		}
		bytes += mine
	}
	if bytes > waitingAll || bytes < waitingAll*8/10 {
		t.Errorf("%d bytes wait for all, want at most %d and not much less", bytes, waitingAll)
	}
	if got, want := b.Status().RouteDropped, uint64(sessions*many-kept); got != want {
		t.Errorf("got %d deliveries dropped, want %d", got, want)
	}
	got := 0
	for i := range sessions { // those who come back get what was kept, in order
		c := join(i)
		c.send(encodeFrame(packets.Pingreq, 0))
		var came []received
		for r := c.expectAny(); r.kind != packets.Pingresp; r = c.expectAny() {
			if !strings.HasPrefix(r.payload, fmt.Sprintf("%02d", len(came))) {
				t.Fatalf("session %d: got %v, want number %d", i, r, len(came))
			}
			came = append(came, r)
		}
		got += len(came)
		for len(came) > 0 {
			came = c.release(came, came[0].qos)
		}
		c.quiet()
		c.close()
	}
	if got != kept {
		t.Errorf("got %d of the %d deliveries that were kept", got, kept)
	}
	eventually(t, patience, "nothing waits", func() bool { return b.waitingBytes() == 0 })
}

func (c *rawClient) expectAny() received {
	c.t.Helper()
	r, err := c.read()
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

func (b *Broker) waitingBytes() int {
	b.waiting.mu.Lock()
	defer b.waiting.mu.Unlock()
	return b.waiting.bytes
}

// TestDeliveriesToAClientThatNeverAcknowledgesAreBounded: it reads, so its outbox stays empty, but what it does not
// acknowledge has to be kept. When its session ends, nothing of that is left in the account.
func TestDeliveriesToAClientThatNeverAcknowledgesAreBounded(t *testing.T) {
	t.Parallel()
	b, addr := startBroker(t, Options{}, newFakeLog(t))
	sub := dialRaw(t, addr, 4, patience, nil)
	sub.connect(hello{id: "sub"})
	sub.subscribe(1, "t")
	pub := dialRaw(t, addr, 4, patience, nil)
	pub.connect(hello{id: "pub"})
	const size = 100_000
	fit := waitingEach / (size + waitingPacket + 1)
	for range fit {
		publishAll(pub, message{topic: "t", payload: strings.Repeat("x", size)})
		sub.expect(packets.Publish)
	}
	publishAll(pub, message{topic: "t", payload: strings.Repeat("x", size)}, message{topic: "t", payload: strings.Repeat("x", size)})
	sub.quiet()
	if got := b.Status().RouteDropped; got != 2 {
		t.Errorf("got %d deliveries dropped, want 2", got)
	}
	if got := b.waitingBytes(); got > waitingEach || got < fit*size {
		t.Errorf("got %d bytes accounted for, want %d publishes of %d bytes", got, fit, size)
	}
	sub.close()
	eventually(t, patience, "nothing waits", func() bool { return b.waitingBytes() == 0 })
}

// TestSessionsWithoutAConnectionAreBounded: of too many, the one that has been away longest is ended.
func TestSessionsWithoutAConnectionAreBounded(t *testing.T) {
	t.Parallel()
	var said safeBuilder
	b, addr := startBroker(t, Options{MaxClients: 10, Logger: slog.New(slog.NewTextHandler(&said, nil))}, newFakeLog(t))
	visit := func(name string) (present bool) {
		c := dialRaw(t, addr, 4, patience, nil)
		present = c.connect(hello{id: name, keep: true})
		c.subscribe(1, "t")
		c.send(encodeFrame(packets.Disconnect, 0))
		c.expectClosed()
		return present
	}
	visit("returns")
	visit("oldest")
	if !visit("returns") {
		t.Error("a session ended although there was room")
	}
	for i := range minAway - 1 {
		visit(fmt.Sprint("id", i))
	}
	eventually(t, patience, "the oldest session has ended", func() bool { return b.subscribers.Load() == minAway })
	if _, ok := b.server.Clients.Get("oldest"); ok {
		t.Error("the oldest session is still in memory")
	}
	if !visit("returns") {
		t.Error("the session that came back was ended in place of the oldest")
	}
	if visit("oldest") {
		t.Error("the oldest session is still there")
	}
	eventually(t, patience, "another one has ended", func() bool { return b.subscribers.Load() == minAway })
	if !strings.Contains(said.String(), "too many sessions without a connection") {
		t.Errorf("got the log %q, want it to say so", said.String())
	}
}

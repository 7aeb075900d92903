package mqtt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, c := range map[string]struct {
		addr string
		want []string
	}{
		"port taken":           {taken.Addr().String(), []string{taken.Addr().String(), "port is taken", "mqtt.listen"}},
		"all interfaces":       {":0", []string{"no user is configured", "gateway user add"}},
		"an address":           {"192.0.2.1:1883", []string{"192.0.2.1:1883", "no user is configured"}},
		"all interfaces, IPv6": {"[::]:0", []string{"no user is configured"}},
		"no port":              {"127.0.0.1", []string{"host:port"}},
	} {
		b, err := New(Options{GatewayID: "gw", Policy: setupPolicy(t, setup{}), Listeners: []Listener{{Address: "127.0.0.1:0"}, {Address: c.addr}}}, newFakeLog(t))
		if err == nil {
			b.Close()
			t.Errorf("%s: got no error for %s", name, c.addr)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %q, want it to say %q", name, err, want)
			}
		}
	}
	withUser := setup{users: map[string]string{"u": "p"}}
	b, err := New(Options{GatewayID: "gw", Policy: setupPolicy(t, withUser), Listeners: []Listener{{Address: "0.0.0.0:0"}}}, newFakeLog(t))
	if err != nil {
		t.Fatalf("all interfaces with a user: got %v, want none", err)
	}
	if err := errors.Join(b.Close(), b.Close()); err != nil {
		t.Errorf("Close twice: got %v, want nil", err)
	}
}

// TestRunEndsAll: when Run returns, what was with the log is acknowledged, MQTT 5 clients were told, no will of theirs
// was published, and no goroutine is left.
func TestRunEndsAll(t *testing.T) {
	before := runtime.NumGoroutine()
	func() {
		log := newFakeLog(t)
		b, err := New(Options{GatewayID: "gw", Policy: setupPolicy(t, setup{}), Listeners: []Listener{{Address: "127.0.0.1:0"}}}, log)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- b.Run(ctx) }()
		addr := b.Addrs()[0].String()
		c := dialRaw(t, addr, 5, 5*time.Second, nil)
		c.connect(hello{id: "c", keep: true, will: &message{topic: "w", payload: "bye", qos: 1}})
		dialRaw(t, addr, 4, 5*time.Second, nil) // says nothing
		if err := b.Canary(ctx); err != nil {
			t.Errorf("Canary: got %v, want nil", err)
		}
		log.hold()
		c.publish(message{topic: "t", payload: "last", qos: 1, id: 1})
		eventually(t, 5*time.Second, "the publish is with the log", func() bool { n, _, _ := log.counts(); return n == 1 })
		cancel()
		eventually(t, 5*time.Second, "the broker stops", b.stopping.Load)
		log.open()
		c.expectAck(packets.Puback, 1)
		if r := c.expect(packets.Disconnect); r.reason != packets.ErrServerShuttingDown.Code {
			t.Errorf("got %v, want reason 0x8b", r)
		}
		if err := <-ended; err != nil {
			t.Errorf("Run: got %v, want nil", err)
		}
		if got := log.payloads(); len(got) != 1 || got[0] != "last" {
			t.Errorf("got stored %q, want only what was published", got)
		}
		if err := b.Run(context.Background()); err == nil {
			t.Error("a second Run: got nil, want an error")
		}
		log.change(func() { log.closed = true })
	}()
	// What is left are the fake log's goroutine and, for a moment, mochi's.
	eventually(t, 5*time.Second, "the goroutines have ended", func() bool { return runtime.NumGoroutine() <= before+1 })
}

// TestLogFailed: when the log fails for good, nothing more is acknowledged, every client is disconnected, and new ones
// are refused.
func TestLogFailed(t *testing.T) {
	t.Parallel()
	log := newFakeLog(t)
	b, addr := startBroker(t, Options{}, log)
	bystander := dialRaw(t, addr, 5, 5*time.Second, nil)
	bystander.connect(hello{id: "bystander"})
	c := dialRaw(t, addr, 4, 5*time.Second, nil)
	c.connect(hello{id: "c"})
	log.hold()
	c.publish(message{topic: "t", payload: "x", qos: 1, id: 1})
	eventually(t, 5*time.Second, "the publish is with the log", func() bool { n, _, _ := log.counts(); return n == 1 })
	log.fail()
	log.open()
	if rest := c.expectClosed(); len(rest) > 0 {
		t.Errorf("got %v, want nothing but the end", rest)
	}
	if r := bystander.expect(packets.Disconnect); r.reason != packets.ErrServerUnavailable.Code {
		t.Errorf("got %v, want reason 0x88", r)
	}
	late := dialRaw(t, addr, 4, 5*time.Second, nil)
	late.send(late.connectFrame(hello{id: "late"}))
	if r := late.expect(packets.Connack); r.reason != 3 {
		t.Errorf("got %v, want reason 3, server unavailable", r)
	}
	if err := b.Canary(context.Background()); err == nil {
		t.Error("Canary: got nil, want an error")
	}
}

// TestPacketSizes: a packet up to the bound is taken, whatever pieces it comes in; a longer one ends the connection
// before it was sent.
func TestPacketSizes(t *testing.T) {
	t.Parallel()
	log := newFakeLog(t)
	const most = 100_000
	_, addr := startBroker(t, Options{MaxPacketSize: most}, log)
	c := dialRaw(t, addr, 5, 10*time.Second, nil)
	c.send(c.connectFrame(hello{id: "c"}))
	if r := c.expect(packets.Connack); r.props.MaximumPacketSize != most {
		t.Errorf("got Maximum Packet Size %d, want %d", r.props.MaximumPacketSize, most)
	}
	frame := func(size int) []byte { // of size bytes in all
		return c.publishFrame(message{topic: "t", payload: strings.Repeat("x", size-4-3-3), qos: 1, id: 1}) // header, topic, id and properties
	}
	fits := frame(most)
	if len(fits) != most {
		t.Fatalf("the test's frame has %d bytes, want %d", len(fits), most)
	}
	for _, at := range []int{1, 2, 5, 20_000, most - 1} {
		c.send(fits[:at])
		c.send(fits[at:])
		c.expectAck(packets.Puback, 1)
	}
	c.send(frame(most + 1)[:5])
	if r := c.expect(packets.Disconnect); r.reason != packets.ErrPacketTooLarge.Code {
		t.Errorf("got %v, want reason 0x95", r)
	}
	if got := len(log.events()); got != 5 {
		t.Errorf("got %d events, want 5", got)
	}
}

// TestIdleConnections: 5,000 connections that say nothing after CONNECT cost little and do no harm.
func TestIdleConnections(t *testing.T) {
	const idle = 5000
	raiseOpenFiles(t, 2*idle+500)
	log := newFakeLog(t)
	b, addr := startBroker(t, Options{}, log)
	before := heap()
	conns := make([]net.Conn, 0, idle)
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	template := rawClient{t: t, version: 4}
	for i := range idle {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		conns = append(conns, conn)
		if _, err := conn.Write(template.connectFrame(hello{id: fmt.Sprint("idle-", i)})); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 4)); err != nil {
			t.Fatalf("connection %d: CONNACK: %v", i, err)
		}
	}
	eventually(t, 10*time.Second, "all are clients", func() bool { return b.Status().Clients == idle })
	each := (heap() - before) / idle
	t.Logf("heap and stacks of an idle connection, both ends: %d bytes", each)
	if each > idleBytes {
		t.Errorf("got %d bytes for an idle connection, want %d at most", each, idleBytes)
	}
	c := dialRaw(t, addr, 4, 5*time.Second, nil)
	c.connect(hello{id: "busy"})
	for id := uint16(1); id <= 100; id++ {
		c.publish(message{topic: "t", payload: "x", qos: 1, id: id})
		c.expectAck(packets.Puback, id)
	}
}

// idleBytes is what an idle connection may take: two stacks of mochi's (16 and 4 KiB) and about 7 KB of both ends. The
// race detector makes it more.
const idleBytes = 40 << 10

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// raiseOpenFiles makes room for n open files.
func raiseOpenFiles(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur >= n {
		return
	}
	limit.Cur = n
	limit.Max = max(limit.Max, n)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("%d open files are needed: %v", n, err)
	} else if err != nil {
		t.Skipf("%d open files are needed: %v", n, err)
	}
}

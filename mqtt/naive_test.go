package mqtt

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"gateway"
)

// The naive designs are what one would build on mochi at first: publishes go through its OnPublish hook to the log.
// They are here to be seen failing.

// naiveSync appends in OnPublish and waits for the commit there; an error of the log is OnPublish's error.
func naiveSync(t testing.TB, s setup, log *fakeLog) server {
	return startNaive(t, s, &naiveHook{log: log, publish: (*naiveHook).appendNow})
}

// naiveDeferred keeps mochi from going on in OnPublish, with ErrRejectPacket, and injects the packet again when it is
// durable.
func naiveDeferred(t testing.TB, s setup, log *fakeLog) server {
	return startNaive(t, s, &naiveHook{log: log, publish: (*naiveHook).deferAck})
}

// naiveByID is naiveDeferred, and acknowledges on the connection that the client has then.
func naiveByID(t testing.TB, s setup, log *fakeLog) server {
	return startNaive(t, s, &naiveHook{log: log, publish: (*naiveHook).deferAckByID})
}

// naiveConcurrent is naiveDeferred with a log that knows no callback: a goroutine for each publish waits for it.
func naiveConcurrent(t testing.TB, s setup, log *fakeLog) server {
	return startNaive(t, s, &naiveHook{log: log, publish: (*naiveHook).deferInGoroutine})
}

// naiveTap takes publishes off the connection before mochi sees them, as our broker does, but as soon as they are
// there.
func naiveTap(t testing.TB, s setup, log *fakeLog) server {
	return startNaive(t, s, &naiveHook{log: log, tap: true, publish: (*naiveHook).appendNow})
}

// naiveKnownID is naiveTap, and takes a publish with DUP for known if its packet id is.
func naiveKnownID(t testing.TB, s setup, log *fakeLog) server {
	return startNaive(t, s, &naiveHook{log: log, tap: true, publish: func(h *naiveHook, cl *mochi.Client, pk packets.Packet) error {
		return h.appendUnknown(cl, pk, strconv.Itoa(int(pk.PacketID)))
	}})
}

// naiveKnownPayload is naiveTap, and takes a publish with DUP for known if its topic and payload are.
func naiveKnownPayload(t testing.TB, s setup, log *fakeLog) server {
	return startNaive(t, s, &naiveHook{log: log, tap: true, publish: func(h *naiveHook, cl *mochi.Client, pk packets.Packet) error {
		return h.appendUnknown(cl, pk, pk.TopicName+string(pk.Payload))
	}})
}

type naiveHook struct {
	mochi.HookBase
	server  *mochi.Server
	policy  *Policy
	log     *fakeLog
	publish func(*naiveHook, *mochi.Client, packets.Packet) error
	tap     bool

	mu       sync.Mutex
	injected map[*mochi.Client]int // packets of the client that come through OnPublish again; guarded by mu
	known    map[string]bool       // guarded by mu
}

func (h *naiveHook) ID() string         { return "naive" }
func (h *naiveHook) Provides(byte) bool { return true }

func (h *naiveHook) OnConnectAuthenticate(_ *mochi.Client, pk packets.Packet) bool {
	return h.policy.Authenticate(string(pk.Connect.Username), pk.Connect.Password)
}

func (h *naiveHook) OnACLCheck(cl *mochi.Client, topic string, write bool) bool {
	return h.policy.Allowed(string(cl.Properties.Username), cl.ID, topic, write)
}

func (h *naiveHook) OnPublish(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	h.mu.Lock()
	again := h.injected[cl] > 0
	if again {
		h.injected[cl]--
	}
	h.mu.Unlock()
	if again || cl.Net.Inline {
		return pk, nil
	}
	return pk, h.publish(h, cl, pk)
}

func naiveEvent(pk packets.Packet) gateway.Event {
	return gateway.Event{Source: "//naive", Type: TypePublish, Subject: pk.TopicName, Data: pk.Payload}
}

func (h *naiveHook) appendNow(_ *mochi.Client, pk packets.Packet) error {
	return h.log.append(naiveEvent(pk))
}

// appendUnknown is appendNow, but for DUP with a key that was there before.
func (h *naiveHook) appendUnknown(cl *mochi.Client, pk packets.Packet, key string) error {
	h.mu.Lock()
	known := h.known[key]
	h.known[key] = true
	h.mu.Unlock()
	if known && pk.FixedHeader.Dup {
		return nil
	}
	return h.appendNow(cl, pk)
}

func (h *naiveHook) deferAckByID(cl *mochi.Client, pk packets.Packet) error {
	err := h.log.Submit(context.Background(), gateway.Batch{Events: []gateway.Event{naiveEvent(pk)}}, func(_ gateway.Offset, err error) {
		if now, ok := h.server.Clients.Get(cl.ID); ok && err == nil {
			h.inject(now, pk)
		}
	})
	return errors.Join(err, packets.ErrRejectPacket)
}

func (h *naiveHook) deferAck(cl *mochi.Client, pk packets.Packet) error {
	err := h.log.Submit(context.Background(), gateway.Batch{Events: []gateway.Event{naiveEvent(pk)}}, func(_ gateway.Offset, err error) {
		if err == nil {
			h.inject(cl, pk)
		}
	})
	return errors.Join(err, packets.ErrRejectPacket)
}

func (h *naiveHook) deferInGoroutine(cl *mochi.Client, pk packets.Packet) error {
	go func() {
		if h.log.append(naiveEvent(pk)) == nil {
			h.inject(cl, pk)
		}
	}()
	return packets.ErrRejectPacket
}

func (h *naiveHook) inject(cl *mochi.Client, pk packets.Packet) {
	h.mu.Lock()
	h.injected[cl]++
	h.mu.Unlock()
	_ = h.server.InjectPacket(cl, pk) // its error is one of the ways to fail
}

func startNaive(t testing.TB, s setup, h *naiveHook) server {
	t.Helper()
	capabilities := mochi.NewDefaultServerCapabilities()
	if s.receiveMaximum > 0 {
		capabilities.ReceiveMaximum = s.receiveMaximum
	}
	h.server = mochi.New(&mochi.Options{Capabilities: capabilities, Logger: slog.New(slog.DiscardHandler)})
	h.policy, h.injected = setupPolicy(t, s), map[*mochi.Client]int{}
	h.known = map[string]bool{}
	if err := h.server.AddHook(h, nil); err != nil {
		t.Fatal(err)
	}
	if err := h.server.Serve(); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &naiveProcess{listener: listener}
	t.Cleanup(p.die)
	go p.serve(h)
	return server{addr: listener.Addr().String(), clients: func() int64 { return atomic.LoadInt64(&h.server.Info.ClientsConnected) }}
}

// naiveProcess is what would be the process of the naive broker: a panic ends it, and so all of its connections.
type naiveProcess struct {
	listener net.Listener
	mu       sync.Mutex
	conns    []net.Conn // guarded by mu
}

func (p *naiveProcess) serve(h *naiveHook) {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.conns = append(p.conns, conn)
		p.mu.Unlock()
		go func() {
			defer func() {
				if recover() != nil {
					p.die()
				}
			}()
			if h.tap {
				conn = &tapConn{Conn: conn, hook: h}
			}
			_ = h.server.EstablishConnection("naive", conn) // ends with the connection
		}()
	}
}

func (p *naiveProcess) die() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listener.Close()
	for _, c := range p.conns {
		c.Close()
	}
}

// tapConn takes the QoS 1 publishes out of what it reads.
type tapConn struct {
	net.Conn
	hook *naiveHook
	pass []byte
}

func (c *tapConn) Read(p []byte) (int, error) {
	for len(c.pass) == 0 {
		buf := make([]byte, 4096)
		n, err := c.Conn.Read(buf)
		if err != nil {
			return 0, err
		}
		c.take(buf[:n])
	}
	n := copy(p, c.pass)
	c.pass = c.pass[n:]
	return n, nil
}

// take is enough for whole frames of less than 128 bytes.
func (c *tapConn) take(buf []byte) {
	for len(buf) >= 2 && len(buf) >= 2+int(buf[1]) {
		frame := buf[:2+buf[1]]
		buf = buf[len(frame):]
		if frame[0]>>4 != packets.Publish || frame[0]>>1&3 != 1 {
			c.pass = append(c.pass, frame...)
			continue
		}
		topic := 4 + int(binary.BigEndian.Uint16(frame[2:]))
		pk := packets.Packet{TopicName: string(frame[4:topic]), Payload: frame[topic+2:], PacketID: binary.BigEndian.Uint16(frame[topic:]), FixedHeader: packets.FixedHeader{Dup: frame[0]&8 != 0}}
		if c.hook.publish(c.hook, nil, pk) == nil {
			_, _ = c.Conn.Write([]byte{packets.Puback << 4, 2, frame[topic], frame[topic+1]})
		}
	}
	c.pass = append(c.pass, buf...)
}

// playOn plays a scenario on a naive design and returns how it failed.
func playOn(t *testing.T, d design, play func(*world)) []string {
	r := &recorder{TB: t, goexit: runtime.Goexit}
	done := make(chan struct{})
	go func() {
		defer close(done)
		play(&world{TB: r, design: d, patience: 2 * time.Second})
	}()
	<-done
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failures
}

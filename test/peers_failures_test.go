package test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gateway/internal/faultproxy"
	"gateway/internal/load/wire"
	"gateway/test/rig"
)

// What a full disk does to others: it ends the process, or they acknowledge what they cannot keep.

// TestFullDiskDoesNotKillTheGateway fills a small file system: by what devices send while the line is down, and by a neighbour. Devices get no acknowledgement
// for what is not kept; the gateway runs on, delivers, survives kill -9, and takes events again when there is room.
func TestFullDiskDoesNotKillTheGateway(t *testing.T) {
	needMosquitto(t)
	if os.Getuid() != 0 {
		missing(t, "mounting a small filesystem needs root")
	}
	t.Parallel()
	t.Run("by ourselves", func(t *testing.T) {
		t.Parallel()
		w := newFullWorld(t)
		w.line.SetDown()
		b := start(t, &w.g)
		p := publishUntilWithheld(t, b.Addr, 0)
		w.wantAlive(b)
		b.Kill()
		b = start(t, &w.g)
		w.line.SetUp()
		w.wantAll(b, p)
		w.wantRoom(b, p)
	})
	t.Run("by a neighbour", func(t *testing.T) {
		t.Parallel()
		w := newFullWorld(t)
		b := start(t, &w.g)
		neighbour := time.AfterFunc(time.Second, func() { w.fill() })
		defer neighbour.Stop()
		p := publishUntilWithheld(t, b.Addr, 0)
		if p.lost == nil { // a neighbour who is faster than a look at the disk may end the process: see the buffer's tests
			w.wantAlive(b)
			w.wantAll(b, p) // delivery goes on
		}
		b.Kill()
		b = w.restartFull(p)
		if err := os.Remove(filepath.Join(w.disk, "neighbour")); err != nil {
			t.Fatal(err)
		}
		if b == nil {
			b = start(t, &w.g)
		}
		w.wantAll(b, p)
		w.wantRoom(b, p)
	})
}

// fullWorld is a gateway on a small disk, and an upstream behind a line that can be down.
type fullWorld struct {
	t    *testing.T
	disk string
	g    rig.Gateway
	line *faultproxy.Proxy
	mu   sync.Mutex
	got  map[int]bool // what arrived upstream
}

func newFullWorld(t *testing.T) *fullWorld {
	t.Helper()
	w := &fullWorld{t: t, g: gateway(t), got: map[int]bool{}}
	w.disk = filepath.Join(w.g.Dir, "small")
	if err := os.Mkdir(w.disk, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", w.disk, "tmpfs", 0, "size=160m"); err != nil {
		missing(t, "mount a tmpfs: "+err.Error())
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(w.disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	upstream, err := rig.StartMosquitto(t.Context(), w.g.Dir, "upstream", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(upstream.Kill)
	if w.line, err = faultproxy.New(upstream.Addr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.line.Close() })
	w.g.DataDir, w.g.Upstream, w.g.Raw = filepath.Join(w.disk, "data"), w.line.Addr(), true
	w.collect(upstream.Addr)
	return w
}

// collect notes the numbers of what arrives.
func (w *fullWorld) collect(addr string) {
	w.t.Helper()
	conn, _, err := wire.Dial(addr, wire.Options{ClientID: "collector"}, 10*time.Second)
	if err != nil {
		w.t.Fatal(err)
	}
	r := wire.NewReader(conn, 64<<10)
	if _, err := conn.Write(wire.AppendSubscribe(nil, 1, "full/#", 1)); err != nil {
		w.t.Fatal(err)
	}
	if first, _, err := r.Next(); err != nil || first != wire.Suback {
		w.t.Fatalf("packet 0x%02x, %v", first, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			first, body, err := r.Next()
			if err == nil {
				err = w.take(conn, first, body)
			}
			if err != nil {
				if ctx.Err() == nil {
					w.t.Errorf("the subscriber: %v", err)
				}
				return
			}
		}
	}()
	w.t.Cleanup(func() { stop(); conn.Close(); <-done })
}

func (w *fullWorld) take(conn net.Conn, first byte, body []byte) error {
	m, err := wire.ParsePublish(first, body)
	if err != nil {
		return err
	}
	var n int
	if _, err := fmt.Sscanf(string(m.Payload[:min(len(m.Payload), 12)]), "%d", &n); err != nil {
		return fmt.Errorf("the payload %.20q: %w", m.Payload, err)
	}
	w.mu.Lock()
	w.got[n] = true
	w.mu.Unlock()
	_, err = conn.Write(wire.AppendAck(nil, wire.Puback, m.ID))
	return err
}

// fill takes all that the disk has left.
func (w *fullWorld) fill() {
	f, err := os.Create(filepath.Join(w.disk, "neighbour"))
	if err != nil {
		w.t.Error(err)
		return
	}
	defer f.Close()
	chunk := make([]byte, 256<<10)
	for size := len(chunk); size >= 512; {
		if _, err := f.Write(chunk[:size]); err == nil {
			continue
		} else if !errors.Is(err, syscall.ENOSPC) {
			w.t.Error(err)
			return
		}
		size /= 2
	}
}

func (w *fullWorld) wantAlive(b *rig.Broker) {
	w.t.Helper()
	select {
	case <-b.Done():
		w.t.Fatalf("the gateway ended when its disk was full: %v: %s", b.Err(), b.Tail())
	default:
	}
	if !strings.Contains(b.Tail(), "full") {
		w.t.Errorf("the gateway does not say that its disk is full: %s", b.Tail())
	}
}

// wantAll waits until everything that was acknowledged has arrived.
func (w *fullWorld) wantAll(b *rig.Broker, p *fullPublisher) {
	w.t.Helper()
	missing := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		n := 0
		for i := range p.acked {
			if !w.got[i] {
				n++
			}
		}
		return n
	}
	if !rig.Poll(w.t.Context(), time.Minute, func() bool { return missing() == 0 }) {
		w.t.Fatalf("%d of %d acknowledged events did not arrive: %s", missing(), len(p.acked), b.Tail())
	}
	w.t.Logf("all %d events that were acknowledged, of %d, arrived", len(p.acked), p.sent)
}

// restartFull starts the gateway on the full disk. Where the log has been left so little that it cannot open, it says so and ends: nil.
func (w *fullWorld) restartFull(p *fullPublisher) *rig.Broker {
	w.t.Helper()
	b, err := w.g.Launch()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(b.Kill)
	if err := b.WaitUntil(w.t.Context(), 20*time.Second, func() error { return rig.Accepts(b.Addr) }); err != nil {
		wantEnd(w.t, b, 1, "has no room", "free space")
		return nil
	}
	if q := publishUntilWithheld(w.t, b.Addr, p.sent); len(q.acked) > 0 {
		w.t.Errorf("%d events were acknowledged on a full disk", len(q.acked))
	}
	w.wantAlive(b)
	return b
}

// wantRoom publishes until an acknowledgement comes.
func (w *fullWorld) wantRoom(b *rig.Broker, p *fullPublisher) {
	w.t.Helper()
	from := p.sent + 1_000_000
	if !rig.Poll(w.t.Context(), 30*time.Second, func() bool {
		q := dialFull(w.t, b.Addr, from)
		defer q.conn.Close()
		from += 100
		q.run(2*time.Second, 10)
		return len(q.acked) == 10
	}) {
		w.t.Errorf("the gateway takes nothing though there is room: %s", b.Tail())
	}
}

// fullPublisher is a device that publishes numbered events of 4 kB, some in flight, and notes which were acknowledged.
type fullPublisher struct {
	conn   net.Conn
	reader *wire.Reader
	sent   int // the number of the next
	acked  map[int]bool
	lost   error // the connection was
}

func dialFull(t *testing.T, addr string, from int) *fullPublisher {
	t.Helper()
	conn, _, err := wire.Dial(addr, wire.Options{ClientID: fmt.Sprintf("device-%d", from)}, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return &fullPublisher{conn: conn, reader: wire.NewReader(conn, 16<<10), sent: from, acked: map[int]bool{}}
}

// publishUntilWithheld publishes until no acknowledgement comes for some seconds, or the connection ends.
func publishUntilWithheld(t *testing.T, addr string, from int) *fullPublisher {
	t.Helper()
	p := dialFull(t, addr, from)
	defer p.conn.Close()
	p.run(4*time.Second, 1_000_000)
	t.Logf("%d of %d events were acknowledged, then none: %v", len(p.acked), p.sent-from, p.lost)
	return p
}

// run publishes up to count events.
func (p *fullPublisher) run(patience time.Duration, count int) {
	const window = 20
	flight := map[uint16]int{}
	rng := rand.NewChaCha8([32]byte{byte(p.sent)})
	data := make([]byte, 4000)
	for end := p.sent + count; p.sent < end || len(flight) > 0; {
		for len(flight) < window && p.sent < end {
			_, _ = rng.Read(data)
			copy(data, fmt.Sprintf("%011d ", p.sent))
			id := uint16(p.sent%60_000 + 1)
			flight[id] = p.sent
			p.sent++
			_ = p.conn.SetDeadline(time.Now().Add(patience))
			if _, p.lost = p.conn.Write(wire.AppendPublish(nil, "full/reading", id, 1, false, data)); p.lost != nil {
				return
			}
		}
		_, body, err := p.reader.Next()
		var late net.Error
		if errors.As(err, &late) && late.Timeout() {
			return // withheld
		}
		if p.lost = err; err != nil {
			return
		}
		id, err := wire.ID(body)
		if p.lost = err; err != nil {
			return
		}
		p.acked[flight[id]] = true
		delete(flight, id)
	}
}

// Package faultproxy is a TCP proxy that does to a connection what a bad line does: it resets it, closes it, falls
// silent, holds it up, slows it down, closes it bit by bit, or refuses it; at once, or after an exact number of bytes. Tests, the demo and the torture
// program put it between the gateway and its upstream.
package faultproxy

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// How says in which way a connection is cut.
type How int

// The ways of a cut.
const (
	Reset     How = iota // both ends get a TCP reset
	Close                // both ends get an orderly close
	Silence              // both ends stay open and hear nothing more, as with a pulled cable
	SlowClose            // both ends hear an end of data; what they still send is swallowed for slowClose, and then it is closed
)

// slowClose is how long SlowClose takes.
const slowClose = 300 * time.Millisecond

// Direction is a way through the proxy.
type Direction int

// The directions.
const (
	Up   Direction = iota // from the client to the target
	Down                  // from the target to the client
)

// dialTimeout bounds a connection to the target.
const dialTimeout = 5 * time.Second

// Proxy passes TCP connections on to a target. All methods are safe for concurrent use.
type Proxy struct {
	ln      net.Listener
	target  string
	passed  [2]atomic.Int64
	opened  atomic.Int64
	running sync.WaitGroup

	mu       sync.Mutex // guards what follows
	pairs    map[*pair]struct{}
	count    int64 // of pairs that there ever were
	traps    [2]*trap
	down     bool
	held     chan struct{} // nil while bytes pass; closed when they pass again
	latency  time.Duration
	limit    [2]throttle
	observer func(conn int64, d Direction, b []byte)
	closed   bool
}

// trap cuts when left more bytes have passed on connections from number from on.
type trap struct {
	left  int64
	from  int64
	how   How
	fired chan struct{}
}

// New makes a proxy on a free port of 127.0.0.1.
func New(target string) (*Proxy, error) { return Listen("127.0.0.1:0", target) }

// Listen makes a proxy that listens on addr and passes connections on to target ("host:port").
func Listen(addr, target string) (*Proxy, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for the proxy to %s: %w", target, err)
	}
	p := &Proxy{ln: ln, target: target, pairs: map[*pair]struct{}{}}
	p.running.Go(p.accept)
	return p, nil
}

// Addr is the address to connect to, as "host:port".
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// Bytes counts what was passed in a direction, over all connections.
func (p *Proxy) Bytes(d Direction) int64 { return p.passed[d].Load() }

// Opened counts the connections that reached the target.
func (p *Proxy) Opened() int64 { return p.opened.Load() }

// SetUp lets new connections in again.
func (p *Proxy) SetUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}

// SetDown resets all connections, and every new one as soon as it is made. The port stays taken.
func (p *Proxy) SetDown() {
	p.mu.Lock()
	p.down = true
	p.mu.Unlock()
	p.Cut(Reset)
}

// Cut cuts the connections that there are and returns how many. New ones pass.
func (p *Proxy) Cut(how How) int {
	p.mu.Lock()
	cut := make([]*pair, 0, len(p.pairs))
	for c := range p.pairs {
		if !c.silent.Load() {
			cut = append(cut, c)
		}
	}
	p.mu.Unlock()
	for _, c := range cut {
		c.cut(how)
	}
	return len(cut)
}

// CutAfterBytes passes exactly n more bytes in direction d and then cuts all connections, once. What it returns is closed when that has happened.
// A second call for a direction replaces the first, whose channel then stays open. To cut between a request and its answer, count the bytes Down.
func (p *Proxy) CutAfterBytes(d Direction, n int64, how How) <-chan struct{} {
	return p.set(d, &trap{left: n, how: how, fired: make(chan struct{})})
}

// CutNextAfterBytes is CutAfterBytes for the connections that are made from now on: those that there are do not count, and are not
// spared. With n from 0 on it cuts at each byte of what a new connection begins with.
func (p *Proxy) CutNextAfterBytes(d Direction, n int64, how How) <-chan struct{} {
	p.mu.Lock()
	from := p.count + 1
	p.mu.Unlock()
	return p.set(d, &trap{left: n, from: from, how: how, fired: make(chan struct{})})
}

func (p *Proxy) set(d Direction, t *trap) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.traps[d] = t
	return t.fired
}

// spring says how many of n bytes in direction d of a connection may pass, and the trap that is to fire behind them.
func (p *Proxy) spring(conn int64, d Direction, n int) (pass int, fires *trap) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.traps[d]
	if t == nil || conn < t.from {
		return n, nil
	}
	if t.left > int64(n) {
		t.left -= int64(n)
		return n, nil
	}
	p.traps[d] = nil
	return int(t.left), t
}

// Close cuts everything, frees the port and waits until all goroutines have ended. Calling it twice is fine.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.release()
	open := make([]*pair, 0, len(p.pairs))
	for c := range p.pairs {
		open = append(open, c)
	}
	p.mu.Unlock()
	err := p.ln.Close()
	for _, c := range open {
		c.cut(Close)
	}
	p.running.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (p *Proxy) accept() {
	for {
		conn, err := p.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // the peer was gone before we took it
		}
		p.running.Go(func() { p.serve(conn) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	p.mu.Lock()
	down := p.down || p.closed
	p.mu.Unlock()
	if down {
		reset(client)
		return
	}
	target, err := net.DialTimeout("tcp", p.target, dialTimeout)
	if err != nil {
		reset(client)
		return
	}
	c := &pair{proxy: p, ends: [2]net.Conn{client, target}, done: make(chan struct{})}
	if !p.add(c) {
		c.cut(Reset)
		return
	}
	p.opened.Add(1)
	var pumps sync.WaitGroup
	pumps.Go(func() { c.pump(Up) })
	pumps.Go(func() { c.pump(Down) })
	pumps.Wait()
	p.mu.Lock()
	delete(p.pairs, c)
	p.mu.Unlock()
}

func (p *Proxy) add(c *pair) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down || p.closed {
		return false
	}
	p.count++
	c.number = p.count
	p.pairs[c] = struct{}{}
	return true
}

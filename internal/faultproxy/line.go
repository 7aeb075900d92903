package faultproxy

import "time"

// throttle lets a number of bytes a second pass, of all connections together.
type throttle struct {
	rate float64   // 0: any number
	free time.Time // when what was let through so far has passed
}

// pieces is how many pieces a second of a throttled line are passed at most: each is so much of a second's rate.
const pieces = 50

// take is how many of n bytes pass next, and how long they have to wait.
func (t *throttle) take(n int, now time.Time) (piece int, wait time.Duration) {
	if t.rate <= 0 {
		return n, 0
	}
	piece = min(n, max(int(t.rate/pieces), 1))
	if t.free.Before(now) {
		t.free = now
	}
	t.free = t.free.Add(time.Duration(float64(piece) / t.rate * float64(time.Second)))
	return piece, t.free.Sub(now)
}

// SetLatency delays each piece that is passed from now on.
func (p *Proxy) SetLatency(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latency = d
}

// SetBandwidth lets so many bytes a second pass from now on, in each direction, of all connections together. 0: any number.
func (p *Proxy) SetBandwidth(bytesPerSecond int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = [2]throttle{{rate: float64(bytesPerSecond)}, {rate: float64(bytesPerSecond)}}
}

// Observe has f called with what is read from either end of each connection, numbered from 1, before it is passed, if it is. f is called
// by several goroutines and must not keep b. It counts for what is read from now on.
func (p *Proxy) Observe(f func(conn int64, d Direction, b []byte)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.observer = f
}

func (p *Proxy) observe(conn int64, d Direction, b []byte) {
	p.mu.Lock()
	f := p.observer
	p.mu.Unlock()
	if f != nil && len(b) > 0 {
		f(conn, d, b)
	}
}

// Hold stops the bytes of all connections, also of new ones, until Release. None is lost.
func (p *Proxy) Hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held == nil && !p.closed {
		p.held = make(chan struct{})
	}
}

// Release ends Hold.
func (p *Proxy) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release()
}

func (p *Proxy) release() {
	if p.held != nil {
		close(p.held)
		p.held = nil
	}
}

// line is what a piece in direction d has to wait for, and how many of n bytes it may have.
func (p *Proxy) line(d Direction, n int) (held <-chan struct{}, delay time.Duration, piece int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	piece, wait := p.limit[d].take(n, time.Now())
	return p.held, p.latency + wait, piece
}

func (p *Proxy) holding() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

package faultproxy

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// pair is one connection through the proxy: ends[Up] is read for Up, which is the client's, ends[Down] is the target's.
type pair struct {
	proxy  *Proxy
	number int64 // from 1
	ends   [2]net.Conn
	silent atomic.Bool
	once   sync.Once
	done   chan struct{} // closed with the connection
	slow   sync.Once
	timer  atomic.Pointer[time.Timer] // ends a SlowClose
}

// pump passes bytes in one direction until the connection is cut or one end closes it.
func (c *pair) pump(d Direction) {
	buf := make([]byte, 16<<10)
	confirm := confirmer(c.ends[d])
	for {
		n, err := c.ends[d].Read(buf)
		if c.silent.Load() {
			<-c.done // what was read is lost, and nobody is told
			return
		}
		confirm()
		c.proxy.observe(c.number, d, buf[:n])
		if n > 0 && !c.pass(d, buf[:n]) {
			return
		}
		if err != nil {
			c.cut(Close)
			return
		}
	}
}

// pass writes b to the other end, as the line permits. It returns false when nothing more can follow.
func (c *pair) pass(d Direction, b []byte) bool {
	for len(b) > 0 {
		piece, ok := c.wait(d, b)
		if !ok || !c.write(d, piece) {
			return false
		}
		b = b[len(piece):]
	}
	return true
}

func (c *pair) write(d Direction, b []byte) bool {
	n, fires := c.proxy.spring(c.number, d, len(b))
	if n > 0 {
		if _, err := c.ends[1-d].Write(b[:n]); err != nil {
			c.cut(Close)
		}
		c.proxy.passed[d].Add(int64(n))
	}
	if fires == nil {
		return true
	}
	c.proxy.Cut(fires.how)
	close(fires.fired)
	if fires.how == Silence || fires.how == SlowClose {
		<-c.done
	}
	return false
}

// wait lets the latency pass, a hold end, and the bandwidth have room for the piece of b that it returns. ok is false if the connection
// ended, or went silent, meanwhile.
func (c *pair) wait(d Direction, b []byte) (piece []byte, ok bool) {
	held, delay, n := c.proxy.line(d, len(b))
	if !c.pause(delay) {
		return nil, false
	}
	for held != nil {
		select {
		case <-held:
			held = c.proxy.holding()
		case <-c.done:
			return nil, false
		}
	}
	if c.silent.Load() {
		<-c.done
		return nil, false
	}
	return b[:n], true
}

// pause returns false if the connection ended before d.
func (c *pair) pause(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.done:
		return false
	}
}

// cut ends the connection. Silence can still be followed by one of the others, and by nothing else.
func (c *pair) cut(how How) {
	switch how {
	case Silence:
		c.silent.Store(true)
		return
	case SlowClose:
		c.silent.Store(true)
		c.slow.Do(c.closeSlowly)
		return
	}
	c.once.Do(func() {
		close(c.done)
		if timer := c.timer.Load(); timer != nil {
			timer.Stop()
		}
		for _, end := range c.ends {
			if how == Reset {
				reset(end)
				continue
			}
			_ = end.Close()
		}
	})
}

// closeSlowly says to both ends that nothing follows, and closes later.
func (c *pair) closeSlowly() {
	for _, end := range c.ends {
		if half, ok := end.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite() // at worst the end hears nothing until the close
		}
	}
	c.timer.Store(time.AfterFunc(slowClose, func() { c.cut(Close) }))
}

func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

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
	ends   [2]net.Conn
	silent atomic.Bool
	once   sync.Once
	done   chan struct{} // closed with the connection
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
	if !c.wait() {
		return false
	}
	n, fires := c.proxy.spring(d, len(b))
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
	if fires.how == Silence {
		<-c.done
	}
	return false
}

// wait lets the latency pass and a hold end. It returns false if the connection ended, or went silent, meanwhile.
func (c *pair) wait() bool {
	held, latency := c.proxy.line()
	if latency > 0 {
		timer := time.NewTimer(latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.done:
			return false
		}
	}
	for held != nil {
		select {
		case <-held:
			held, _ = c.proxy.line()
		case <-c.done:
			return false
		}
	}
	if c.silent.Load() {
		<-c.done
		return false
	}
	return true
}

// cut ends the connection. Silence can still be followed by one of the others, and by nothing else.
func (c *pair) cut(how How) {
	if how == Silence {
		c.silent.Store(true)
		return
	}
	c.once.Do(func() {
		close(c.done)
		for _, end := range c.ends {
			if how == Reset {
				reset(end)
				continue
			}
			_ = end.Close()
		}
	})
}

func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

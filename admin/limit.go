package admin

import (
	"net"
	"sync"
)

// limited is a listener that closes what is more than its bound of connections at once.
type limited struct {
	net.Listener
	slots chan struct{} // one element a connection
}

func limit(l net.Listener, connections int) net.Listener {
	return &limited{l, make(chan struct{}, connections)}
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.slots <- struct{}{}:
			return &slotConn{Conn: conn, free: sync.OnceFunc(func() { <-l.slots })}, nil
		default:
			conn.Close()
		}
	}
}

// slotConn frees its slot when it is closed.
type slotConn struct {
	net.Conn
	free func()
}

// Close implements net.Conn.
func (c *slotConn) Close() error {
	defer c.free()
	return c.Conn.Close()
}

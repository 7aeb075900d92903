package mqtt

import (
	"crypto/tls"
	"math"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// peerView asks the kernel what the other end of a TCP connection has confirmed. One goroutine at a time uses it.
type peerView struct {
	raw    syscall.RawConn
	ask    func(fd uintptr)
	unsent int // bytes written and not confirmed, on their way or not
	err    error
}

// newPeerView returns nil for what is not TCP, with TLS or without.
func newPeerView(conn net.Conn) *peerView {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	v := &peerView{raw: raw}
	v.ask = v.once
	return v
}

func (v *peerView) once(fd uintptr) {
	v.unsent, v.err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
}

// unconfirmed returns how many bytes that were written the peer's kernel has not confirmed; false if that is not known.
func (v *peerView) unconfirmed() (int, bool) {
	err := v.raw.Control(v.ask)
	return v.unsent, err == nil && v.err == nil
}

// tcpClosed is the state of a connection that was reset, or given up by the kernel (TCP_CLOSE of Linux' tcp_states.h).
const tcpClosed = 7

// reset says whether the connection was reset. A client that ends it in order has read all that its system confirmed; one
// that has not, or dies, resets it.
func (v *peerView) reset() bool {
	closed := false
	err := v.raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		closed = err == nil && info.State == tcpClosed
	})
	return err == nil && closed
}

// reached returns how much of what was put into the outbox the client's system has confirmed. Where that cannot be known
// it is all, because what it confirmed is not suppressed when it is sent again.
func (o *outbox) reached() int64 {
	if o.peer == nil {
		return math.MaxInt64
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	unconfirmed, ok := o.peer.unconfirmed()
	switch {
	case !ok:
		return math.MaxInt64
	case o.try == nil && unconfirmed > 0: // TLS: of a record that is not complete nothing can be read
		return o.lastWrite
	case o.try == nil:
		return o.wrote
	}
	return o.wrote - int64(unconfirmed)
}

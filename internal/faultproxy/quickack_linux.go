package faultproxy

import (
	"net"
	"syscall"
)

// confirmer returns what confirms to the peer, at once, what was read. Otherwise a peer that has Nagle's algorithm on, as Mosquitto
// has, would wait 40 ms between small packets, which no real line between the two would add.
func confirmer(conn net.Conn) func() {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return func() {}
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return func() {}
	}
	set := func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1) }
	return func() { _ = raw.Control(set) }
}

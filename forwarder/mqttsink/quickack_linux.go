package mqttsink

import (
	"net"
	"syscall"
)

// quickAck is a TCP connection that confirms at once what it has read. A broker that leaves Nagle's algorithm on, as
// Mosquitto does, holds each small packet back until the one before is confirmed, and Linux confirms after 40 ms if
// there is nothing to be sent: without this a window of publishes costs 40 ms on any line.
type quickAck struct {
	*net.TCPConn
	raw     syscall.RawConn
	confirm func(fd uintptr)
}

// confirmAtOnce returns conn as it is if it cannot be done.
func confirmAtOnce(conn net.Conn) net.Conn {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return conn
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return conn
	}
	return &quickAck{TCPConn: tcp, raw: raw, confirm: func(fd uintptr) {
		// The kernel forgets the option with the next packet. On an error the line is slower, and that is all.
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
	}}
}

// Read reads and confirms.
func (c *quickAck) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if n > 0 {
		_ = c.raw.Control(c.confirm) // an error means closed, which the next Read says
	}
	return n, err
}

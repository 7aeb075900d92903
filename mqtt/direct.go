package mqtt

import (
	"net"
	"syscall"
)

// directWriter writes to a TCP socket what it takes without waiting, which spares the usual acknowledgement a goroutine and
// the wake-up of a processor for it. One goroutine at a time uses it.
type directWriter struct {
	raw syscall.RawConn
	do  func(fd uintptr) bool
	p   []byte
	n   int
}

// newDirectWriter returns nil for what is not a bare TCP connection.
func newDirectWriter(conn net.Conn) *directWriter {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	w := &directWriter{raw: raw}
	w.do = w.once
	return w
}

// write returns how many bytes of p the socket took. An error is left to the next write to find.
func (w *directWriter) write(p []byte) int {
	w.p, w.n = p, 0
	if err := w.raw.Write(w.do); err != nil {
		return 0 // closed, or its deadline has passed: nothing was written
	}
	w.p = nil
	return w.n
}

// once does not wait: the runtime has every socket in non-blocking mode.
func (w *directWriter) once(fd uintptr) bool {
	if n, err := syscall.Write(int(fd), w.p); err == nil {
		w.n = n
	}
	return true
}

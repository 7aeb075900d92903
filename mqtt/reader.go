package mqtt

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// reader reads a connection's socket so that no buffer is held while nothing comes.
type reader struct {
	tcp   syscall.RawConn // nil for TLS
	try   func(fd uintptr) bool
	n     int
	err   error
	small []byte // for TLS

	// The deadline of the socket, and what it stands for: the keep-alive counts from the last complete frame.
	armed     time.Time
	connectBy time.Time // while there is no CONNECT yet
	last      time.Time // read
	lastFrame time.Time
	looked    bool // since something came
}

func (c *conn) startReading(connectBy time.Time) error {
	c.in.connectBy = connectBy
	c.in.last = time.Now()
	c.in.lastFrame = c.in.last
	tcp, ok := c.raw.(*net.TCPConn)
	if !ok {
		c.in.small = make([]byte, 2<<10)
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	c.in.tcp, c.in.try = raw, c.tryRead
	return nil
}

// fill reads more behind what is there, for a frame of need bytes (0: unknown). It returns when something came.
func (c *conn) fill(need int) error {
	for {
		if err := c.arm(); err != nil {
			return err
		}
		n, err := c.readOnce(need)
		if n > 0 {
			c.ws.w += n
			c.in.last, c.in.looked = time.Now(), false
			return nil
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && c.ctx.Err() == nil {
			if err := c.overdue(time.Now()); err != nil {
				return err
			}
			c.in.armed = time.Time{}
			continue
		}
		if c.ctx.Err() != nil {
			return context.Cause(c.ctx)
		}
		if err == nil {
			err = io.EOF
		}
		c.gone = true
		return err
	}
}

// lastLook is how long a client that is overdue is still read from.
const lastLook = 50 * time.Millisecond

// deadline is when the client has been silent for too long; zero: never.
func (c *conn) deadline() time.Time {
	if !c.in.connectBy.IsZero() {
		return c.in.connectBy
	}
	if c.keepAlive == 0 {
		return time.Time{}
	}
	return c.in.lastFrame.Add(c.keepAlive + c.keepAlive/2) // MQTT 5.0 section 3.1.2.10
}

// arm sets the socket's deadline, seldom: one that is too early is noticed when it passes.
func (c *conn) arm() error {
	due := c.deadline()
	if c.in.looked {
		due = time.Now().Add(lastLook)
	}
	if due.IsZero() != c.in.armed.IsZero() || due.Before(c.in.armed) || due.Sub(c.in.armed) > c.keepAlive/8 {
		c.in.armed = due
		if err := c.raw.SetReadDeadline(due); err != nil {
			return err
		}
	}
	if c.ctx.Err() != nil { // stop may have set a deadline that this one replaced
		return context.Cause(c.ctx)
	}
	return nil
}

// overdue says whether the silence was too long. Once it looks again first: while the connection waited for
// something else, such as room in the log, nobody read.
func (c *conn) overdue(now time.Time) error {
	due := c.deadline()
	if due.IsZero() || now.Before(due) {
		return nil
	}
	if !c.in.looked {
		c.in.looked = true
		return nil
	}
	if !c.in.connectBy.IsZero() {
		return errSilent
	}
	return errKeepAlive
}

// readOnce reads once. Where nothing is there yet, the workspace goes back until something is.
func (c *conn) readOnce(need int) (int, error) {
	if c.in.tcp != nil {
		if c.ws != nil {
			c.ws.room(need)
		}
		if err := c.in.tcp.Read(c.in.try); err != nil {
			return 0, err
		}
		return c.in.n, c.in.err
	}
	if c.ws != nil && c.ws.r != c.ws.w {
		c.ws.room(need)
		return c.raw.Read(c.ws.buf[c.ws.w:])
	}
	c.dropWorkspace()
	n, err := c.raw.Read(c.in.small)
	if n > 0 {
		c.ws = c.b.takeWorkspace()
		copy(c.ws.buf, c.in.small[:n])
		return n, nil // an error comes again
	}
	return 0, err
}

// tryRead is called by the runtime's poller, at first and when the socket has become readable.
func (c *conn) tryRead(fd uintptr) bool {
	if c.ws == nil {
		c.ws = c.b.takeWorkspace()
	}
	for {
		n, err := syscall.Read(int(fd), c.ws.buf[c.ws.w:])
		if err == syscall.EINTR {
			continue
		}
		if err == syscall.EAGAIN {
			if c.ws.r == c.ws.w {
				c.dropWorkspace()
			}
			return false
		}
		c.in.n, c.in.err = n, err
		return true
	}
}

func (c *conn) dropWorkspace() {
	if c.ws != nil {
		c.b.giveWorkspace(c.ws)
		c.ws = nil
	}
}

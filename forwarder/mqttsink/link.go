package mqttsink

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	connectHead = 0x10 // MQTT 3.1.1 section 3.1
	pubackHead  = 0x40 // section 3.4
	pubackSize  = 4
	// While more than paceAbove publishes are unacknowledged, acknowledgements are left to gather for paceTime between two
	// reads. A broker writes each one by itself, and taking them one by one costs more than all else that we do.
	paceAbove = 64
	paceTime  = time.Millisecond
	// maxInbound bounds a packet from the broker. A publisher gets a few bytes at a time.
	maxInbound = 64 << 10
)

// link is one connection to the broker, from its TCP handshake to its end. The library reads and writes through it
// all packets but two: our publishes are written beside it, and their acknowledgements are taken out of what it
// reads. So acknowledgements can only count for the connection that they came on, and a publish costs no channels.
type link struct {
	net.Conn
	windows []*window     // by way
	writing sync.Mutex    // held by publish
	lost    chan struct{} // closed when the connection is unusable
	once    sync.Once
	cause   error // why; set before lost is closed

	// What follows is the library's reading goroutine's.
	in   *bufio.Reader
	rest int // bytes of the current packet that are the library's
	ids  []uint16
	tick *time.Timer // nil before the first pause
}

// newLink makes a link of so many ways, which share the window.
func newLink(conn net.Conn, window, ways int) *link {
	l := &link{Conn: conn, lost: make(chan struct{}), in: bufio.NewReaderSize(conn, 8<<10)}
	for way := range ways {
		l.windows = append(l.windows, newWindow(max(window/ways, 1), way, ways))
	}
	return l
}

// fail ends the connection for the reason err, at once and without sending what is still buffered: it will be sent
// again on another connection, and must not arrive after that.
func (l *link) fail(err error) {
	l.once.Do(func() {
		l.cause = err
		if lingers, ok := l.socket().(interface{ SetLinger(sec int) error }); ok {
			_ = lingers.SetLinger(0) // on an error the close is merely slower
		}
		close(l.lost)
		_ = l.socket().Close() // not TLS's Close, which would first write and wait
	})
}

// socket is what is below TLS.
func (l *link) socket() net.Conn {
	if wrapped, ok := l.Conn.(interface{ NetConn() net.Conn }); ok {
		return wrapped.NetConn()
	}
	return l.Conn
}

// errClosedByClient is the cause of a link that the library closed: a missing PINGRESP, or our own DISCONNECT.
var errClosedByClient = errors.New("connection closed: the broker did not answer a ping, or the sink was closed")

// Close is called by the library.
func (l *link) Close() error {
	l.once.Do(func() {
		l.cause = errClosedByClient
		close(l.lost)
	})
	return l.Conn.Close()
}

// alive says whether the connection may still be used.
func (l *link) alive() bool {
	select {
	case <-l.lost:
		return false
	default:
		return true
	}
}

// Write is called by the library. If CONNECT cannot be written, the broker may have said why: in TLS 1.3 it refuses a client certificate
// only after the handshake, with an alert that is there to be read. Nobody else reads before CONNACK.
func (l *link) Write(p []byte) (int, error) {
	n, err := l.Conn.Write(p)
	if err != nil && len(p) > 0 && p[0] == connectHead {
		if _, why := l.Conn.Read(make([]byte, 1)); isAlert(why) {
			err = why
		}
	}
	return n, err
}

// Read gives the library the packets that are for it. It is called by one goroutine.
func (l *link) Read(p []byte) (int, error) {
	for l.rest == 0 {
		if err := l.nextPacket(); err != nil {
			return 0, l.readFailed(err)
		}
	}
	n, err := l.in.Read(p[:min(len(p), l.rest)])
	l.rest -= n
	if err != nil {
		return n, l.readFailed(err)
	}
	return n, nil
}

// readFailed returns the cause of the end, never the system's own error of a closed connection: at that the library
// would not clean up.
func (l *link) readFailed(err error) error {
	l.fail(fmt.Errorf("read from the broker: %w", err))
	return l.cause
}

// nextPacket waits for a packet. It takes an acknowledgement out; of another it leaves the length in rest.
func (l *link) nextPacket() error {
	head, err := l.in.Peek(2)
	if err != nil {
		return err
	}
	if head[0] == pubackHead {
		return l.acks()
	}
	length, shift := 0, 0
	for n := 2; ; n++ {
		if head, err = l.in.Peek(n); err != nil {
			return err
		}
		b := head[n-1]
		length |= int(b&0x7f) << shift
		shift += 7
		if b < 0x80 {
			l.rest = n + length
			break
		}
		if n == headerRoom {
			return errors.New("malformed packet length")
		}
	}
	if l.rest > maxInbound {
		return fmt.Errorf("a packet of type %d has %d bytes, which a publisher is not sent", head[0]>>4, l.rest)
	}
	return nil
}

// acks takes in the PUBACK that comes next, and those that are already read behind it.
func (l *link) acks() error {
	l.ids = l.ids[:0]
	for len(l.ids) == 0 || l.in.Buffered() >= pubackSize {
		p, err := l.in.Peek(pubackSize)
		if err != nil {
			return err
		}
		if p[0] != pubackHead {
			break
		}
		if p[1] != pubackSize-2 {
			return fmt.Errorf("PUBACK with a length of %d", p[1])
		}
		l.ids = append(l.ids, uint16(p[2])<<8|uint16(p[3]))
		if _, err := l.in.Discard(pubackSize); err != nil {
			return err
		}
	}
	now, most := time.Now(), 0
	for _, w := range l.windows {
		most = max(most, w.ack(l.ids, now))
	}
	if most > paceAbove {
		l.pause()
	}
	return nil
}

// pause waits for paceTime, or until the connection is lost.
func (l *link) pause() {
	if l.tick == nil {
		l.tick = time.NewTimer(paceTime)
	} else {
		l.tick.Reset(paceTime)
	}
	select {
	case <-l.tick.C:
	case <-l.lost:
		l.tick.Stop()
	}
}

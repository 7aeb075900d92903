package mqttsource

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

const (
	connectHead = 0x10 // MQTT 3.1.1 section 3.1
	publishHead = 0x30 // section 3.3
	subackHead  = 0x90 // section 3.9
	headerRoom  = 5    // the most that a fixed header takes (section 2.2)
)

// line is one connection to the broker, from its TCP handshake to its end. The library reads and writes through it.
// It bounds the packets that the library would make room for: of a larger PUBLISH the payload is left out.
type line struct {
	net.Conn
	max    int           // bytes of a packet
	topics int           // that are subscribed to, each with an answer
	lost   chan struct{} // closed when the connection is unusable
	once   sync.Once
	// cause is why; set before lost is closed.
	cause error
	// tooLarge is called, on the reading goroutine, with each PUBLISH that is larger than max.
	tooLarge func(topic string, size int, qos byte)

	// What follows is the library's reading goroutine's.
	in   *bufio.Reader
	head []byte // of the current packet, changed; read before what is in in
	rest int    // bytes of the current packet that are in in

	mu   sync.Mutex
	bare map[uint16]bool // packet ids whose payload was left out; guarded by mu
}

func newLine(conn net.Conn, max, topics int, tooLarge func(topic string, size int, qos byte)) *line {
	return &line{
		Conn: conn, max: max, topics: topics, lost: make(chan struct{}), tooLarge: tooLarge,
		in: bufio.NewReaderSize(conn, 16<<10), bare: map[uint16]bool{},
	}
}

// fail ends the connection at once for the reason err.
func (l *line) fail(err error) {
	l.once.Do(func() {
		l.cause = err
		close(l.lost)
		_ = l.socket().Close() // not TLS's Close, which would first write and wait
	})
}

// socket is what is below TLS.
func (l *line) socket() net.Conn {
	if wrapped, ok := l.Conn.(interface{ NetConn() net.Conn }); ok {
		return wrapped.NetConn()
	}
	return l.Conn
}

// alive says whether the connection may still be used.
func (l *line) alive() bool {
	select {
	case <-l.lost:
		return false
	default:
		return true
	}
}

// errClosedByClient is the cause of a line that the library closed: a missing PINGRESP, or our own DISCONNECT.
var errClosedByClient = errors.New("connection closed: the broker did not answer a ping, or the source was stopped")

// Close is called by the library.
func (l *line) Close() error {
	l.once.Do(func() {
		l.cause = errClosedByClient
		close(l.lost)
	})
	return l.Conn.Close()
}

// Write is called by the library. If CONNECT cannot be written, the broker may have said why: in TLS 1.3 it refuses a
// client certificate only after the handshake, with an alert that is there to be read.
func (l *line) Write(p []byte) (int, error) {
	n, err := l.Conn.Write(p)
	if err != nil && len(p) > 0 && p[0] == connectHead {
		if _, why := l.Conn.Read(make([]byte, 1)); isAlert(why) {
			err = why
		}
	}
	return n, err
}

// Read is called by the library, on one goroutine.
func (l *line) Read(p []byte) (int, error) {
	for len(l.head) == 0 && l.rest == 0 {
		if err := l.nextPacket(); err != nil {
			return 0, l.readFailed(err)
		}
	}
	if len(l.head) > 0 {
		n := copy(p, l.head)
		l.head = l.head[n:]
		return n, nil
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
func (l *line) readFailed(err error) error {
	l.fail(fmt.Errorf("read from the broker: %w", err))
	return l.cause
}

// nextPacket waits for a packet and leaves in head and rest what the library shall read of it.
func (l *line) nextPacket() error {
	head, err := l.in.Peek(2)
	if err != nil {
		return err
	}
	first, length, shift := head[0], 0, 0
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
	if first == subackHead && length != 2+l.topics { // the library would not survive more
		return fmt.Errorf("malformed SUBACK: it has %d bytes for %d topics", length, l.topics)
	}
	if l.rest <= l.max {
		return nil
	}
	if first&0xf0 != publishHead {
		return fmt.Errorf("a packet of type %d has %d bytes, which no broker sends", first>>4, l.rest)
	}
	return l.leaveOut(first, length)
}

// leaveOut reads a PUBLISH without keeping its payload. One with a packet id is passed on without it, so that it is
// acknowledged in its place.
func (l *line) leaveOut(first byte, length int) error {
	size := l.rest
	if _, err := l.in.Discard(l.rest - length); err != nil {
		return err
	}
	l.rest = 0
	body := make([]byte, 2, 64)
	if _, err := io.ReadFull(l.in, body); err != nil {
		return err
	}
	more := int(binary.BigEndian.Uint16(body))
	qos := first >> 1 & 3
	if qos > 0 {
		more += 2
	}
	if 2+more > length {
		return errors.New("malformed PUBLISH: its topic is longer than itself")
	}
	body = append(body, make([]byte, more)...)
	if _, err := io.ReadFull(l.in, body[2:]); err != nil {
		return err
	}
	if _, err := l.in.Discard(length - len(body)); err != nil {
		return err
	}
	l.tooLarge(string(body[2:2+int(binary.BigEndian.Uint16(body))]), size, qos)
	if qos == 0 {
		return nil
	}
	l.mu.Lock()
	l.bare[binary.BigEndian.Uint16(body[len(body)-2:])] = true
	l.mu.Unlock()
	l.head = append(binary.AppendUvarint([]byte{first}, uint64(len(body))), body...)
	return nil
}

// wasLeftOut says whether the payload of the PUBLISH with that packet id was left out, once.
func (l *line) wasLeftOut(id uint16) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.bare[id]
	delete(l.bare, id)
	return was
}

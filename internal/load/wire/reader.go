package wire

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// MaxFrame is the largest packet that a Reader takes, in bytes.
const MaxFrame = 4 << 20

// Reader splits a stream into packets. It belongs to one goroutine.
type Reader struct {
	src        io.Reader
	buf        []byte
	start, end int
}

// NewReader returns a Reader with a buffer of size bytes, which grows to a larger packet.
func NewReader(src io.Reader, size int) *Reader { return &Reader{src: src, buf: make([]byte, size)} }

// Next returns the next packet: its first byte and its body, which is valid until the following call. It blocks
// only where no whole packet is buffered.
func (r *Reader) Next() (first byte, body []byte, err error) {
	for {
		first, body, ok, err := r.Buffered()
		if ok || err != nil {
			return first, body, err
		}
		if err := r.fill(); err != nil {
			return 0, nil, err
		}
	}
}

// Buffered returns the next packet where it is already read; ok is false where it is not.
func (r *Reader) Buffered() (first byte, body []byte, ok bool, err error) {
	b := r.buf[r.start:r.end]
	size, shift := 0, 0
	for i := 1; i < len(b); i++ {
		size |= int(b[i]&0x7f) << shift
		if b[i]&0x80 != 0 {
			if shift += 7; shift > 21 {
				return 0, nil, false, errors.New("remaining length has more than four bytes")
			}
			continue
		}
		if size > MaxFrame {
			return 0, nil, false, fmt.Errorf("packet has %d bytes, the most is %d", size, MaxFrame)
		}
		if len(b) < i+1+size {
			r.room(i + 1 + size)
			return 0, nil, false, nil
		}
		r.start += i + 1 + size
		return b[0], b[i+1 : i+1+size], true, nil
	}
	return 0, nil, false, nil
}

// room makes the buffer large enough for a packet of n bytes.
func (r *Reader) room(n int) {
	if n <= len(r.buf) {
		return
	}
	grown := make([]byte, n+4096)
	r.end = copy(grown, r.buf[r.start:r.end])
	r.buf, r.start = grown, 0
}

func (r *Reader) fill() error {
	if r.start == r.end {
		r.start, r.end = 0, 0
	} else if r.end == len(r.buf) {
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
	}
	n, err := r.src.Read(r.buf[r.end:])
	r.end += n
	if n > 0 {
		return nil
	}
	return err
}

// Dial connects to addr and finishes the MQTT handshake within the timeout. present tells whether the broker had
// kept the session. A refusal wraps ErrRefused.
func Dial(addr string, o Options, timeout time.Duration) (conn net.Conn, present bool, err error) {
	conn, err = net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, false, err
	}
	present, err = handshake(conn, o, timeout)
	if err != nil {
		conn.Close()
		return nil, false, fmt.Errorf("connect %s to %s: %w", o.ClientID, addr, err)
	}
	return conn, present, nil
}

// handshake reads exactly the four bytes of CONNACK, so that nothing behind them is lost to a buffer.
func handshake(conn net.Conn, o Options, timeout time.Duration) (present bool, err error) {
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return false, err
	}
	if _, err := conn.Write(AppendConnect(nil, o)); err != nil {
		return false, err
	}
	var ack [4]byte
	if _, err := io.ReadFull(conn, ack[:]); err != nil {
		return false, err
	}
	if ack[0] != Connack || ack[1] != 2 {
		return false, fmt.Errorf("want CONNACK, got % x", ack)
	}
	if ack[3] != 0 {
		return false, fmt.Errorf("%w: CONNACK code %d", ErrRefused, ack[3])
	}
	return ack[2]&1 != 0, conn.SetDeadline(time.Time{})
}

package gpiochip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// lookAgain is how often a line that tells nothing is asked whether its chip is still there: kernels before 6.6 do not wake who waits when it goes.
const lookAgain = 2 * time.Second

// longAgo is a deadline that has passed.
func longAgo() time.Time { return time.Unix(1, 0) }

// Events waits for edges and fills buf; it returns at least one. The error is ctx's, or wraps ErrGone, os.ErrClosed, or what the kernel said.
func (l *Line) Events(ctx context.Context, buf []Event) (int, error) {
	if len(buf) == 0 {
		return 0, fmt.Errorf("%s: no room for events", l.name)
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		_ = l.file.SetReadDeadline(longAgo()) // a line that is closed needs none
	})
	defer func() {
		if !stop() { // it would end the next wait
			<-ended
		}
	}()
	for {
		if err := l.file.SetReadDeadline(time.Now().Add(lookAgain)); err != nil {
			return 0, fmt.Errorf("%s: %w: %w", l.name, os.ErrClosed, err)
		}
		if err := ctx.Err(); err != nil { // maybe it ended before the deadline was set
			return 0, err
		}
		n, err := l.read(buf)
		switch {
		case n > 0:
			return n, nil
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case errors.Is(err, os.ErrDeadlineExceeded):
			if _, err := l.Level(); err != nil {
				return 0, err
			}
		case errors.Is(err, unix.ENODEV) || errors.Is(err, io.EOF):
			return 0, fmt.Errorf("%s: %w: %w", l.name, ErrGone, err)
		default:
			return 0, fmt.Errorf("%s: %w", l.name, err)
		}
	}
}

// read waits until the deadline, and returns events or an error.
func (l *Line) read(buf []Event) (int, error) {
	need := len(buf) * eventSize
	if len(l.buf) < need {
		l.buf = make([]byte, need)
	}
	n, err := l.file.Read(l.buf[:need])
	if err != nil {
		return 0, err
	}
	return parseEvents(l.buf[:n], buf)
}

// poll is Events that does not wait: it may return none.
func (l *Line) poll(buf []Event) (n int, err error) {
	raw := make([]byte, len(buf)*eventSize)
	conn, err := l.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	if err := conn.Control(func(fd uintptr) { n, failed = unix.Read(int(fd), raw) }); err != nil {
		return 0, fmt.Errorf("%s: %w: %w", l.name, os.ErrClosed, err)
	}
	switch {
	case errors.Is(failed, unix.EAGAIN), errors.Is(failed, unix.EINTR):
		return 0, nil
	case errors.Is(failed, unix.ENODEV):
		return 0, fmt.Errorf("%s: %w: %w", l.name, ErrGone, failed)
	case failed != nil:
		return 0, fmt.Errorf("%s: %w", l.name, failed)
	}
	return parseEvents(raw[:n], buf)
}

// parseEvents reads what the kernel wrote, which is whole events.
func parseEvents(raw []byte, buf []Event) (n int, err error) {
	if len(raw)%eventSize != 0 {
		return 0, fmt.Errorf("the kernel gave %d bytes, an event has %d", len(raw), eventSize)
	}
	for chunk := range slices.Chunk(raw, eventSize) {
		var e lineEvent
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&e)), eventSize), chunk)
		buf[n] = Event{Rising: e.id == eventRising, At: time.Duration(e.timestamp), Sequence: e.lineSeq}
		n++
	}
	return n, nil
}

package gpiochip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Line is a line that is requested from the kernel. Level, Set, Reconfigure and Close may be called from any goroutine, Events from one at a time.
type Line struct {
	name   string
	number int
	file   *os.File
	buf    []byte // of Events

	mu     sync.Mutex // guards what follows
	config Config
}

// Now is the clock of Event.At: CLOCK_MONOTONIC.
func Now() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil { // only an unknown clock can fail
		return 0
	}
	return time.Duration(ts.Nano())
}

// Open requests the line of that number of the chip at path. An output has the level c.Value from the first moment.
func Open(path string, offset int, c Config) (l *Line, err error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("line %d of %s: %w", offset, path, err)
	}
	f, err := open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrGone, err)
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	r := lineRequest{config: c.abi(), numLines: 1, eventBufferSize: uint32(c.Buffer)}
	r.offsets[0] = uint32(offset)
	copy(r.consumer[:maxConsumer], c.Consumer)
	if err := ioctl(f.Fd(), getLine, unsafe.Pointer(&r)); err != nil {
		return nil, fmt.Errorf("line %d of %s: %w", offset, path, requestError(f, offset, &c, err))
	}
	if err := unix.SetNonblock(int(r.fd), true); err != nil {
		return nil, errors.Join(fmt.Errorf("line %d of %s: %w", offset, path, err), unix.Close(int(r.fd)))
	}
	name := fmt.Sprintf("line %d of %s", offset, path)
	return &Line{name: name, number: offset, file: os.NewFile(uintptr(r.fd), name), config: c}, nil
}

// requestError says what a refused request means.
func requestError(f *os.File, offset int, c *Config, err error) error {
	switch {
	case errors.Is(err, unix.EBUSY):
		info := lineInfo{offset: uint32(offset)}
		if ioctl(f.Fd(), getLineInfo, unsafe.Pointer(&info)) == nil && info.consumer[0] != 0 {
			return fmt.Errorf("%w, by %q", ErrBusy, text(info.consumer))
		}
		return ErrBusy
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%w: %w", ErrGone, err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w: the chip has no such line, or cannot do what is asked of it (pull, edges, debounce)", err)
	case !c.Output && c.Edge != 0 && (errors.Is(err, unix.ENXIO) || errors.Is(err, unix.EOPNOTSUPP)):
		return fmt.Errorf("%w: the chip cannot tell edges of this line", err)
	}
	return err
}

// lineInode is what the descriptor of a line request is called in /proc.
const lineInode = "anon_inode:gpio-line"

// Adopt takes over a request that was kept over a restart: the level of the line does not change. c is how it was requested. On an error f is closed.
func Adopt(f *os.File, c Config) (l *Line, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("take over %s: %w", f.Name(), err)
	}
	name := f.Name()
	if what, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); err != nil || what != lineInode {
		return nil, errors.Join(fmt.Errorf("take over %s: it is %q (%v), not a GPIO line", name, what, err), unix.Close(fd)) //nolint:errorlint // both are told
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(fmt.Errorf("take over %s: %w", name, err), unix.Close(fd))
	}
	l = &Line{name: name, number: -1, file: os.NewFile(uintptr(fd), name), config: c}
	if _, err := l.Level(); err != nil {
		return nil, errors.Join(fmt.Errorf("take over %s: %w", name, err), l.Close())
	}
	return l, f.Close()
}

// control calls an ioctl of the line. The descriptor stays as it is: File.Fd would make it block.
func (l *Line) control(request uint, arg unsafe.Pointer) error {
	conn, err := l.file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := conn.Control(func(fd uintptr) { failed = ioctl(fd, request, arg) }); err != nil {
		return fmt.Errorf("%s: %w", l.name, err)
	}
	if errors.Is(failed, unix.ENODEV) {
		failed = fmt.Errorf("%w: %w", ErrGone, failed)
	}
	if failed != nil {
		return fmt.Errorf("%s: %w", l.name, failed)
	}
	return nil
}

// Level is the level now; of an output the one that it drives, and it stays an output.
func (l *Line) Level() (bool, error) {
	v := lineValues{mask: 1}
	if err := l.control(getValues, unsafe.Pointer(&v)); err != nil {
		return false, err
	}
	return v.bits&1 != 0, nil
}

// Set drives an output.
func (l *Line) Set(on bool) error {
	v := lineValues{mask: 1}
	if on {
		v.bits = 1
	}
	return l.control(setValues, unsafe.Pointer(&v))
}

// Reconfigure changes how the line is used, in one step: an input that becomes an output has the level c.Value from the first moment. Consumer and Buffer stay.
func (l *Line) Reconfigure(c Config) error {
	if err := c.check(); err != nil {
		return fmt.Errorf("%s: %w", l.name, err)
	}
	k := c.abi()
	if err := l.control(setConfig, unsafe.Pointer(&k)); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.config = c
	return nil
}

// configured is how the line is used.
func (l *Line) configured() Config {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.config
}

// File is the request's descriptor. It is the line's: whoever wants to keep it duplicates it.
func (l *Line) File() *os.File { return l.file }

// Close gives the line back to the kernel, and frees who waits in Events. Calling it twice is fine.
func (l *Line) Close() error {
	if err := l.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// Events waits for edges and fills buf; it returns at least one. The error is ctx's, or wraps ErrGone, os.ErrClosed, or what the kernel said.
func (l *Line) Events(ctx context.Context, buf []Event) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := l.file.SetReadDeadline(time.Time{}); err != nil {
		return 0, fmt.Errorf("%s: %w: %w", l.name, os.ErrClosed, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = l.file.SetReadDeadline(longAgo) }) // a line that is closed needs none
	defer stop()
	if need := len(buf) * eventSize; len(l.buf) < need {
		l.buf = make([]byte, need)
	}
	n, err := l.file.Read(l.buf[:len(buf)*eventSize])
	switch {
	case ctx.Err() != nil && n <= 0:
		return 0, ctx.Err()
	case errors.Is(err, unix.ENODEV) || errors.Is(err, io.EOF):
		return 0, fmt.Errorf("%s: %w: %w", l.name, ErrGone, err)
	case err != nil:
		return 0, fmt.Errorf("%s: %w", l.name, err)
	case n%eventSize != 0:
		return 0, fmt.Errorf("%s: the kernel gave %d bytes, an event has %d", l.name, n, eventSize)
	}
	return parseEvents(l.buf[:n], buf), nil
}

// parseEvents reads what the kernel wrote.
func parseEvents(raw []byte, buf []Event) (n int) {
	for chunk := range slices.Chunk(raw, eventSize) {
		var e lineEvent
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&e)), eventSize), chunk)
		buf[n] = Event{Rising: e.id == eventRising, At: time.Duration(e.timestamp), Sequence: e.lineSeq}
		n++
	}
	return n
}

// String is where the line is.
func (l *Line) String() string { return strings.TrimPrefix(l.name, "line ") }

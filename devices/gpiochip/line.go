package gpiochip

import (
	"errors"
	"fmt"
	"os"
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
	// call is an ioctl on the request.
	call func(request uint, arg unsafe.Pointer) error
	buf  []byte // of Events
	pin  *pin

	mu     sync.Mutex // guards what follows
	config Config
}

// newLine owns fd, which does not block: so Go's poller has it, and Close and the end of a context end a read.
func newLine(fd, number int, name string, c Config) *Line {
	l := &Line{name: name, number: number, file: os.NewFile(uintptr(fd), name), config: c}
	l.call, l.pin = l.ioctl, newPin(l, c)
	return l
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
	var chip chipInfo
	if err := ioctl(f.Fd(), getChipInfo, unsafe.Pointer(&chip)); err != nil {
		return nil, fmt.Errorf("%s is no GPIO chip: %w", path, err)
	}
	if offset < 0 || offset >= int(chip.lines) {
		return nil, fmt.Errorf("%w: line %d of %s (%s), which has %d", ErrNotFound, offset, path, text(chip.label), chip.lines)
	}
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
	return newLine(int(r.fd), offset, name, c), nil
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
	case errors.Is(err, unix.ENOTTY):
		return fmt.Errorf("%w: the kernel is older than 5.10, and does not know version 2 of its GPIO device", err)
	}
	return fmt.Errorf("%w: the chip or the kernel cannot do what is asked of the line (%s)", err, c)
}

// ioctl leaves the descriptor as it is: File.Fd would make it block.
func (l *Line) ioctl(request uint, arg unsafe.Pointer) error {
	conn, err := l.file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := conn.Control(func(fd uintptr) { failed = ioctl(fd, request, arg) }); err != nil {
		return fmt.Errorf("%w: %w", os.ErrClosed, err)
	}
	return failed
}

// control is an ioctl whose error says what it means, and of which line.
func (l *Line) control(request uint, arg unsafe.Pointer) error {
	err := l.call(request, arg)
	if errors.Is(err, unix.ENODEV) {
		err = fmt.Errorf("%w: %w", ErrGone, err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", l.name, err)
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

// String is where the line is.
func (l *Line) String() string { return strings.TrimPrefix(l.name, "line ") }

package gpiochip

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// lineInode is what the descriptor of a line request is called in /proc.
const lineInode = "anon_inode:gpio-line"

// Adopt takes over a request that was kept over a restart: the level of the line does not change, and of an output nothing else does. c is how it was requested;
// a line that is used otherwise is refused, as far as the kernel tells. On an error f is closed, so that the line can be opened anew.
func Adopt(f *os.File, c Config) (l *Line, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("take over %s: %w", f.Name(), err), f.Close())
		}
	}()
	if err := c.check(); err != nil {
		return nil, err
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() {
		if l == nil {
			err = errors.Join(err, unix.Close(fd))
		}
	}()
	if what, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); err != nil || what != lineInode {
		return nil, fmt.Errorf("it is %q (%v), not a GPIO line", what, err) //nolint:errorlint // both are told
	}
	if err := ioctl(uintptr(fd), getValues, unsafe.Pointer(&lineValues{mask: 2})); err == nil {
		return nil, errors.New("it is a request of several lines")
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	name, number := f.Name(), -1
	chip, offset := origin(fd)
	now, known := lineInfo{}, false
	if chip != "" {
		name, number = fmt.Sprintf("line %d of %s", offset, chip), offset
		now, known = lineNow(chip, offset)
	}
	if known {
		if err := c.wants(&now); err != nil {
			return nil, err
		}
	}
	l = newLine(fd, number, name, c)
	if err := l.begin(known, &now); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, f.Close()
}

// begin looks whether an adopted line works. An input is configured anew where it has other edges, another pull or debounce: it drives nothing.
func (l *Line) begin(known bool, now *lineInfo) error {
	if _, err := l.Level(); err != nil {
		return err
	}
	if !known || l.config.Output || l.config.same(now) {
		return nil
	}
	return l.Reconfigure(l.config)
}

// wants says what of a line is other than c wants it, and cannot be changed without a change of what is on the wire or of what it means.
func (c *Config) wants(now *lineInfo) error {
	for _, f := range []struct {
		flag uint64
		what string
	}{{flagOutput, "direction"}, {flagActiveLow, "polarity"}, {flagOpenDrain, "drive"}} {
		if (now.flags^c.flags())&f.flag != 0 {
			return fmt.Errorf("its %s is another than that of the configuration", f.what)
		}
	}
	return nil
}

// same says that an input is as c wants it.
func (c *Config) same(now *lineInfo) bool {
	const input = flagRising | flagFalling | flagPullUp | flagPullDown | flagPullNone
	debounce := time.Duration(0)
	for _, a := range now.attrs[:min(now.numAttrs, maxAttrs)] {
		if a.id == attrDebounce {
			debounce = time.Duration(*(*uint32)(unsafe.Pointer(&a.value))) * time.Microsecond
		}
	}
	return (now.flags^c.flags())&input == 0 && debounce == c.Debounce
}

// origin is the chip and the number of a request's line; "" and -1 with kernels that do not tell.
func origin(fd int) (chip string, offset int) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	if err != nil {
		return "", -1
	}
	return parseOrigin(string(data))
}

func parseOrigin(fdinfo string) (chip string, offset int) {
	offset = -1
	for line := range strings.Lines(fdinfo) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch key {
		case "gpio-chip":
			chip = "/dev/" + value
		case "gpio-line":
			if n, err := strconv.Atoi(value); err == nil {
				offset = n
			}
		}
	}
	if len(chip) <= len("/dev/") || offset < 0 {
		return "", -1
	}
	return chip, offset
}

// lineNow is how a line is used; false if the kernel does not say.
func lineNow(chip string, offset int) (info lineInfo, ok bool) {
	f, err := open(chip)
	if err != nil {
		return info, false
	}
	defer f.Close()
	info.offset = uint32(offset)
	return info, ioctl(f.Fd(), getLineInfo, unsafe.Pointer(&info)) == nil
}

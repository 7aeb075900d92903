package gpiochip

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

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
	l = newLine(fd, -1, name, c)
	if _, err := l.Level(); err != nil {
		return nil, errors.Join(fmt.Errorf("take over %s: %w", name, err), l.Close())
	}
	return l, f.Close()
}

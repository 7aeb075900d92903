package buffer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	walSuffix = ".mem"
	// walRoom is the most that one write-ahead log of the engine takes: it is left behind at the size of the memtable, and one
	// transaction may go beyond it.
	walRoom = 4 << 20
)

// preallocator gives the engine's write-ahead logs their blocks of the disk before the engine writes to them. Badger makes them
// sparse and writes through a memory map, where a full disk is no error but a SIGBUS, which ends the process.
//
// The one in use gets its blocks when the log is opened. The next one must have them before the engine turns to it, in the
// middle of a commit. So it is made ahead, under the name that it will have, empty, with blocks behind its end: Badger takes an
// empty file for a new one, sets its length, and finds the blocks there. It belongs to the writer.
type preallocator struct {
	dir  string
	next string // the log that was made ahead; "" if none is known
	off  bool   // the file system cannot
}

// prepare sees to it that the next log is there. An error is that of the disk: ENOSPC or EDQUOT mean that it is full.
func (p *preallocator) prepare() error {
	if p.off {
		return nil
	}
	if p.next != "" {
		if info, err := os.Lstat(p.next); err == nil && info.Size() == 0 {
			return nil // not in use yet
		}
	}
	err := p.make()
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		p.off = true
		return nil
	}
	return err
}

func (p *preallocator) make() error {
	p.next = ""
	number, size, err := newestWAL(p.dir)
	if err != nil {
		return fmt.Errorf("find the engine's logs: %w", err)
	}
	flags := os.O_RDWR
	if size > 0 { // it is in use, and the next is missing
		if err := preallocate(walPath(p.dir, number), flags, unix.FALLOC_FL_KEEP_SIZE, walRoom); err != nil {
			return err
		}
		number++
		flags |= os.O_CREATE
	}
	next := walPath(p.dir, number)
	if err := preallocate(next, flags, unix.FALLOC_FL_KEEP_SIZE, walRoom); err != nil {
		// An empty log without blocks is no harm, but one that is taken for prepared is.
		if info, statErr := os.Lstat(next); statErr == nil && info.Size() == 0 {
			err = errors.Join(err, os.Remove(next))
		}
		return err
	}
	p.next = next
	return nil
}

// preallocate gives the first size bytes of the file their blocks.
func preallocate(path string, flags int, mode uint32, size int64) error {
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return err
	}
	if err := unix.Fallocate(int(f.Fd()), mode, 0, size); err != nil {
		return errors.Join(fmt.Errorf("preallocate %s: %w", path, err), f.Close())
	}
	return f.Close()
}

func walPath(dir string, number int) string {
	return filepath.Join(dir, fmt.Sprintf("%05d%s", number, walSuffix))
}

// walLooks is how often the engine's logs are looked for: it makes the next one before it deletes the last, so whoever reads the folder meanwhile can miss both.
const walLooks = 1000

// newestWAL returns the number and the length of the engine's newest write-ahead log.
func newestWAL(dir string) (number int, size int64, err error) {
	number = -1
	for look := 0; number < 0; look++ {
		if look == walLooks {
			return 0, 0, fmt.Errorf("%s has none", dir)
		}
		logs, err := walFiles(dir)
		if err != nil {
			return 0, 0, err
		}
		for n, length := range logs {
			if n > number {
				number, size = n, length
			}
		}
	}
	return number, size, nil
}

// walFiles are the lengths of the engine's write-ahead logs, by number.
func walFiles(dir string) (map[int]int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	logs := map[int]int64{}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), walSuffix)
		if !ok {
			continue
		}
		n, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		logs[n] = info.Size()
	}
	return logs, nil
}

// removeEmptyWALs removes the log that was made ahead, and one that Badger was about to make or to remove when it was killed: it
// refuses to open a store in which a log is empty. The engine must not be open.
func removeEmptyWALs(dir string) error {
	logs, err := walFiles(dir)
	if err != nil {
		return err
	}
	for n, size := range logs {
		if size > 0 {
			continue
		}
		if err := os.Remove(walPath(dir, n)); err != nil {
			return err
		}
	}
	return nil
}

// isFullDisk says whether err is that of a disk, or a quota, that is full.
func isFullDisk(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// ballastName is a file in the data directory that only takes room.
const ballastName = "reserve"

// ballast is room on the disk that nobody else can take: when the disk gets full it is given up, so that the engine can write
// out what it holds, whoever filled the disk. It is a part of what the log may take. Safe for concurrent use.
type ballast struct {
	path string
	size int64

	mu   sync.Mutex
	held bool // guarded by mu
}

// ballastSize is for a log of at most maxSize.
func ballastSize(maxSize int64) int64 { return min(maxSize/16, 16<<20) }

func newBallast(o *Options) *ballast {
	b := &ballast{path: filepath.Join(o.Dir, ballastName), size: ballastSize(o.MaxSize)}
	if info, err := os.Stat(b.path); err == nil {
		b.held = info.Size() == b.size // otherwise it is of another bound, and made again
	}
	return b
}

// hold takes the room. A file system that cannot do it does without.
func (b *ballast) hold() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held {
		return nil
	}
	if err := preallocate(b.path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0, b.size); err != nil {
		return errors.Join(err, os.Remove(b.path))
	}
	b.held = true
	return nil
}

// release gives the room up, and says whether there was any.
func (b *ballast) release() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	held := b.held
	b.held = false
	// An error leaves the file: then nothing was given up, and it is tried again when the disk is looked at.
	if err := os.Remove(b.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.held = held
		return false
	}
	return held
}

// bytes is the room that is held.
func (b *ballast) bytes() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held {
		return b.size
	}
	return 0
}

package buffer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/sys/unix"
)

const (
	lockName   = "LOCK"
	engineName = "badger"
	// openReserve is what an existing log must have left to be opened and emptied: a write-ahead log and a table.
	openReserve = 8 << 20
)

// lockDir makes the data directory, takes its lock and writes our process id into it. The lock ends with the file
// or the process, whichever is first.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, dirError(dir, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, dirError(dir, err)
	}
	if err := flockOurs(f); err != nil {
		defer f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, inUse(dir, f)
		}
		return nil, dirError(dir, err)
	}
	if err := writePID(f, lockWord(f)); err != nil && !isFullDisk(err) { // a log on a full disk is opened, to be emptied
		return nil, errors.Join(dirError(dir, err), f.Close())
	}
	return f, nil
}

// lockPatience is how long a lock is waited for that this very process held before: a child that is being made has it, too, until
// it runs its program.
const lockPatience = time.Second

// flockOurs takes the lock of f.
func flockOurs(f *os.File) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(lockPatience); ; <-tick.C {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) || lockPID(f) != strconv.Itoa(os.Getpid()) || time.Now().After(end) {
			return err
		}
	}
}

// lockPID is the process id in the lock file, "" if there is none.
func lockPID(f *os.File) string {
	var buf [64]byte
	n, _ := f.ReadAt(buf[:], 0) // an empty answer is as good as an error
	pid, _, _ := strings.Cut(string(buf[:n]), "\n")
	return pid
}

// writePID writes our process id, and the word of the store (see checkPlace). It does not give the file's block back before it is written: on a full disk it would be gone.
func writePID(f *os.File, word string) error {
	text := []byte(strconv.Itoa(os.Getpid()) + "\n" + word + "\n")
	if _, err := f.WriteAt(text, 0); err != nil {
		return err
	}
	return f.Truncate(int64(len(text)))
}

func inUse(dir string, f *os.File) error {
	pid := lockPID(f)
	if pid == "" {
		pid = "(unknown)"
	}
	return inUseError(fmt.Sprintf("data directory %s is in use by process %s: stop it or choose another data_dir", dir, pid))
}

// inUseError is a sentence that errors.Is finds as ErrInUse.
type inUseError string

func (e inUseError) Error() string        { return string(e) }
func (e inUseError) Is(target error) bool { return target == ErrInUse }

// dirError says what a person can do about err.
func dirError(dir string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("data directory %s cannot be written: %w: give the gateway's user access to it, or choose another data_dir", dir, err)
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist):
		return fmt.Errorf("data directory %s is not a directory: %w: choose another data_dir", dir, err)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("data directory %s has no room: %w: free space on its disk, or choose another data_dir", dir, err)
	}
	return fmt.Errorf("data directory %s: %w", dir, err)
}

// checkRoom says whether the disk has room for a log. One that is there is opened with less: it takes no events until there is
// room, but delivers what it has.
func checkRoom(dir string, reserve int64, free func(string) (int64, error)) error {
	need := reserve
	for _, name := range []string{stateName, filepath.Join(engineName, badger.ManifestFilename)} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			need = openReserve
		}
	}
	n, err := free(dir)
	if err != nil {
		return dirError(dir, err)
	}
	if n < need && os.Remove(filepath.Join(dir, ballastName)) == nil {
		n, err = free(dir)
	}
	if err != nil {
		return dirError(dir, err)
	}
	if n < need {
		return fmt.Errorf("data directory %s has no room: its disk has %s left, the log needs %s: free space, or choose another data_dir", dir, mib(n), mib(need))
	}
	return nil
}

// makeEngineDir makes the folder of the engine's files.
func makeEngineDir(dir string) (string, error) {
	sub := filepath.Join(dir, engineName)
	if err := os.MkdirAll(sub, 0o700); err != nil {
		return "", dirError(dir, err)
	}
	return filepath.Abs(sub)
}

// freeBytes is what the file system of dir has left for us.
func freeBytes(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}

// diskBytes is what the files in dir take on disk; sparse files count as far as they were written.
func diskBytes(dir string) (int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, e := range entries {
		info, err := os.Stat(filepath.Join(dir, e.Name())) // what a link leads to: those of a picture
		if errors.Is(err, fs.ErrNotExist) {
			continue // a table that was merged away
		}
		if err != nil {
			return 0, err
		}
		if s, ok := info.Sys().(*syscall.Stat_t); ok {
			sum += int64(s.Blocks) * 512
		}
	}
	return sum, nil
}

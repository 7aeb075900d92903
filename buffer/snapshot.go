package buffer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// openSnapshot opens a picture of the log in o.Dir: a folder of its own with the tables by reference and copies of the rest,
// because the engine cannot open a log that was not closed without changing it.
func openSnapshot(o Options) (*Log, error) {
	lock, err := lockShared(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	temp, err := takeSnapshot(o.Dir)
	if err != nil {
		var damage *DamageError
		if !errors.As(err, &damage) {
			err = fmt.Errorf("look at %s: %w", o.Dir, err)
		}
		return nil, errors.Join(fmt.Errorf("open log: %w", err), closeFile(lock))
	}
	inner := o
	inner.Dir, inner.NoRepair = temp, true
	inner.hooks.free = func(string) (int64, error) { return 1 << 40, nil }
	own, err := lockDir(temp)
	if err == nil {
		var l *Log
		if l, err = openLocked(context.Background(), inner, recovery{}); err == nil {
			l.lock, l.snapshot = own, func() error { return errors.Join(closeFile(lock), os.RemoveAll(temp)) }
			return l, nil
		}
		err = errors.Join(err, own.Close())
	}
	var damage *DamageError
	if errors.As(err, &damage) {
		damage.Dir = o.Dir
	}
	return nil, errors.Join(fmt.Errorf("open log: %w", err), closeFile(lock), os.RemoveAll(temp))
}

// lockShared keeps a gateway from starting on dir while it is looked at; nil where the lock's file cannot be opened, as on a
// medium that is read-only.
func lockShared(dir string) (*os.File, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, dirError(dir, err)
	}
	f, err := os.Open(filepath.Join(dir, lockName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, dirError(dir, err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = inUse(dir, f)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func closeFile(f *os.File) error {
	if f == nil {
		return nil
	}
	return f.Close()
}

// takeSnapshot makes the folder.
func takeSnapshot(dir string) (string, error) {
	entries, err := os.ReadDir(filepath.Join(dir, engineName))
	if errors.Is(err, fs.ErrNotExist) {
		return "", noFiles(dir)
	}
	if err != nil {
		return "", err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	temp, err := os.MkdirTemp("", "gateway-log-")
	if err != nil {
		return "", err
	}
	err = os.Mkdir(filepath.Join(temp, engineName), 0o700)
	if _, statErr := os.Stat(filepath.Join(dir, stateName)); statErr == nil && err == nil {
		err = copyFile(filepath.Join(dir, stateName), filepath.Join(temp, stateName), 0)
	}
	for _, e := range entries {
		if err != nil {
			break
		}
		if e.Type().IsRegular() {
			err = refer(filepath.Join(dir, engineName, e.Name()), filepath.Join(temp, engineName, e.Name()))
		}
	}
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(temp))
	}
	return temp, nil
}

// noFiles says why dir has no files of the engine: there is no log, or it is gone.
func noFiles(dir string) error {
	i, err := inspect(dir, false)
	if err != nil {
		return err
	}
	if i.fresh {
		return errors.New("there is no log")
	}
	return &DamageError{Dir: dir, Report: i.report()}
}

// refer gives the snapshot a file: a table by reference, if the engine will be able to open it as it does, everything else as a copy.
func refer(from, to string) error {
	if strings.HasSuffix(from, ".sst") && unix.Access(from, unix.W_OK) == nil {
		return os.Symlink(from, to)
	}
	return copyFile(from, to, 0)
}

package buffer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"gateway"
)

const (
	// quarantineName is the folder, in the data directory, where damaged files are kept. The log never deletes anything there.
	quarantineName = "quarantine"
	reportName     = "report.json"
)

// newQuarantine makes a folder for what is set aside now, and returns its path.
func newQuarantine(parent string) (string, error) {
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return "", dirError(parent, err)
	}
	stamp := time.Now().UTC().Format("20060102T150405Z")
	for n := 1; ; n++ {
		dir := filepath.Join(parent, stamp)
		if n > 1 {
			dir = fmt.Sprintf("%s-%d", dir, n)
		}
		err := os.Mkdir(dir, 0o700)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", dirError(parent, err)
		}
		return dir, syncDir(parent)
	}
}

// keepFile keeps a file that is never changed in place as it is: by a hard link, or a copy where there are none.
func keepFile(from, to string) error {
	if err := os.Link(from, to); err == nil {
		return nil
	}
	return copyFile(from, to, 0)
}

// copyFile copies a file from the given place on, synced.
func copyFile(from, to string, offset int64) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if _, err := in.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

// keepPieces sets aside what the engine is about to cut off or delete, so that it can be searched afterwards.
func (i *inspection) keepPieces(dir string) error {
	if err := i.keepState(dir); err != nil {
		return err
	}
	from := filepath.Join(i.dir, engineName)
	for _, r := range i.rests {
		if err := copyFile(filepath.Join(from, r.name), filepath.Join(dir, r.name), r.from); err != nil {
			return fmt.Errorf("keep the end of %s: %w", r.name, err)
		}
	}
	for _, name := range i.orphans {
		if err := keepFile(filepath.Join(from, name), filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("keep %s: %w", name, err)
		}
	}
	return syncDir(dir)
}

// keepState sets the state aside, if it cannot be read: whatever is in it, it is about to be replaced.
func (i *inspection) keepState(dir string) error {
	if !i.badState {
		return nil
	}
	if err := copyFile(filepath.Join(i.dir, stateName), filepath.Join(dir, stateName), 0); err != nil {
		return fmt.Errorf("keep %s: %w", stateName, err)
	}
	return syncDir(dir)
}

// writeReport leaves beside the files what was found.
func writeReport(dir string, r gateway.LogReport) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, reportName), append(b, '\n'))
}

// folderBytes is what is in a folder, with all below it.
func folderBytes(dir string) int64 {
	var sum int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // what cannot be seen is not counted
		}
		if info, err := d.Info(); err == nil {
			sum += info.Size()
		}
		return nil
	})
	return sum
}

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// diskSize is of each cell's filesystem. Its image is sparse.
const diskSize = 4 << 30

// disk is a folder for one cell: an ext4 filesystem of its own on a loop device, whose counter has what this cell alone causes
// to be written, with the journal and all else that the filesystem adds. Where that cannot be mounted it is just a folder.
type disk struct {
	dir     string
	image   string // "" for a folder
	mounted bool
}

// errNoDisk says why the cells have no disks of their own.
var errNoDisk = errors.New("a loop device cannot be mounted here (that takes root)")

// newDisk makes a disk below dir. With an error that is errNoDisk it can be used all the same.
func newDisk(dir, name string) (*disk, error) {
	d := &disk{dir: filepath.Join(dir, name)}
	if err := os.Mkdir(d.dir, 0o755); err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return d, errNoDisk
	}
	d.image = d.dir + ".ext4"
	f, err := os.Create(d.image)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(diskSize), f.Close()); err != nil {
		return nil, err
	}
	// Everything is initialised now: what the kernel does of it later would be counted.
	for _, args := range [][]string{
		{"mkfs.ext4", "-q", "-N", "4096", "-J", "size=16", "-E", "lazy_itable_init=0,lazy_journal_init=0", d.image},
		{"mount", "-o", "loop", d.image, d.dir},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return d, fmt.Errorf("%w: %s: %w: %s", errNoDisk, args[0], err, strings.TrimSpace(string(out)))
		}
	}
	d.mounted = true
	return d, nil
}

// sync has everything written that the disk's files have in memory.
func (d *disk) sync() error {
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}

// remove unmounts the disk, whose processes have ended, and deletes it.
func (d *disk) remove() error {
	var err error
	if d.mounted {
		if out, e := exec.Command("umount", d.dir).CombinedOutput(); e != nil {
			return fmt.Errorf("umount %s: %w: %s", d.dir, e, strings.TrimSpace(string(out)))
		}
	}
	if d.image != "" {
		err = os.Remove(d.image)
	}
	return errors.Join(err, os.RemoveAll(d.dir))
}

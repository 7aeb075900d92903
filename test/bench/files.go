package main

import (
	"os"
	"path/filepath"
	"syscall"
)

// discardDirs deletes the folders in dir except one, and waits until the disk has settled.
func discardDirs(dir, except string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.IsDir() && e.Name() != except {
			_ = os.RemoveAll(filepath.Join(dir, e.Name())) // the whole of dir is deleted at the end
		}
	}
	syscall.Sync()
}

// dirSize is what the files below dir take on disk.
func dirSize(dir string) (size int64) {
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // files come and go while the log works
		}
		if info, err := d.Info(); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				size += st.Blocks * 512
			}
		}
		return nil
	})
	return size
}

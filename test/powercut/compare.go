package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// largestRequest is the most that Linux puts into one request to a disk by default.
const largestRequest = 1280 << 10

// sameDisk compares the disk rebuilt from the whole write log with the real one. They may differ by one request: qemu writes
// it to the disk first and to the log then, and was killed at any moment.
func sameDisk(rebuilt io.ReaderAt, name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	first, last := int64(-1), int64(-1)
	a, b := make([]byte, 1<<20), make([]byte, 1<<20)
	for at := int64(0); at < diskSize; at += int64(len(a)) {
		if _, err := rebuilt.ReadAt(a, at); err != nil {
			return fmt.Errorf("read the rebuilt disk: %w", err)
		}
		if _, err := file.ReadAt(b, at); err != nil {
			return fmt.Errorf("read the disk: %w", err)
		}
		if bytes.Equal(a, b) {
			continue
		}
		for i := range a {
			if a[i] == b[i] {
				continue
			}
			if first < 0 {
				first = at + int64(i)
			}
			last = at + int64(i)
		}
	}
	if last-first > largestRequest {
		return fmt.Errorf("the write log does not lead to the disk, they differ between %d and %d: the rig is wrong", first, last)
	}
	return nil
}

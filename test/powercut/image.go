package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"gateway/test/vm"
)

// diskSize holds the log's bound and the reserve of the disk.
const diskSize = 448 << 20

// copyImage leaves out the holes.
func copyImage(ctx context.Context, from, to string) error {
	_, err := vm.Command(ctx, ".", "cp", "--sparse=always", "--reflink=auto", from, to)
	return err
}

// recoverImage does on the host what mounting does in the guest: e2fsck replays the journal, and repairs what is
// safe to repair by itself. More than that would say that the file system is broken, which no power cut explains.
func recoverImage(ctx context.Context, image string) error {
	out, err := vm.Command(ctx, ".", "e2fsck", "-f", "-p", image)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 { // errors were corrected: orphans, counts
		return nil
	}
	if err != nil {
		return fmt.Errorf("the file system is broken: %w: %s", err, out)
	}
	return nil
}

// extract copies the file system's files to dir, which must be empty.
func extract(ctx context.Context, image, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if _, err := vm.Command(ctx, dir, "debugfs", "-R", "rdump / .", image); err != nil {
		return fmt.Errorf("take the files out of %s: %w", image, err)
	}
	return nil
}

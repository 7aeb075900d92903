package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// diskSize holds the log's bound and the reserve of the disk.
const diskSize = 448 << 20

// makeImage makes an ext4 file system with Debian's defaults. Its tables are written at once, so that the guest's kernel does
// not do so in the background.
func makeImage(ctx context.Context, image string) error {
	file, err := os.Create(image)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Truncate(diskSize), file.Close()); err != nil {
		return err
	}
	_, err = command(ctx, ".", "mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
	return err
}

// copyImage leaves out the holes.
func copyImage(ctx context.Context, from, to string) error {
	_, err := command(ctx, ".", "cp", "--sparse=always", "--reflink=auto", from, to)
	return err
}

// recoverImage does on the host what mounting does in the guest: e2fsck replays the journal, and repairs what is
// safe to repair by itself. More than that would say that the file system is broken, which no power cut explains.
func recoverImage(ctx context.Context, image string) error {
	out, err := command(ctx, ".", "e2fsck", "-f", "-p", image)
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
	if _, err := command(ctx, dir, "debugfs", "-R", "rdump / .", image); err != nil {
		return fmt.Errorf("take the files out of %s: %w", image, err)
	}
	return nil
}

package vm

import (
	"context"
	"errors"
	"os"
)

// MakeImage makes an ext4 file system with Debian's defaults in a sparse file. Its tables are written at once, so that the guest's kernel does
// not do so in the background.
func MakeImage(ctx context.Context, image string, size int64) error {
	file, err := os.Create(image)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Truncate(size), file.Close()); err != nil {
		return err
	}
	_, err = Command(ctx, ".", "mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
	return err
}

package buffer

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// A log that is brought back from a backup does not know what was appended since, and would give the same IDs again to other
// events. It is known by the lock file: a copy of that is another file, and one that was left in place while the store went back has
// another word in it than the store.

// placeOf names a file so that no copy of it has the same name: its inode and when it was made, as far as the file system tells.
func placeOf(f *os.File) string {
	var s unix.Statx_t
	if err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_INO|unix.STATX_BTIME, &s); err != nil {
		return ""
	}
	return fmt.Sprintf("%x-%x.%x", s.Ino, s.Btime.Sec, s.Btime.Nsec)
}

// lockWord is the second line of the lock file: a word that the store has too.
func lockWord(f *os.File) string {
	var buf [128]byte
	n, _ := f.ReadAt(buf[:], 0) // an empty answer is as good as an error
	_, word, _ := strings.Cut(string(buf[:n]), "\n")
	return strings.TrimSpace(word)
}

// checkPlace raises the epoch if the store was opened last in another place, or is not the one that was opened here last.
func (s *state) checkPlace(e *engine, lock *os.File, log *slog.Logger) error {
	place := placeOf(lock)
	if place == "" {
		return nil
	}
	before := ""
	err := e.get([]byte(metaPlace), func(v []byte) error { before = string(v); return nil })
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("read %s: %w", metaPlace, err)
	}
	moved := before != "" && before != place+" "+lockWord(lock)
	var word [8]byte
	if _, err := rand.Read(word[:]); err != nil {
		return err
	}
	now := place + " " + hex.EncodeToString(word[:])
	writes := []write{{[]byte(metaPlace), []byte(now)}}
	if moved {
		s.epoch = branchEpoch(s.epoch)
		writes = append(writes, write{[]byte(metaEpoch), binary.AppendUvarint(nil, uint64(s.epoch))})
		log.Warn("the log was restored or copied: the events that are appended from now on get IDs of a new epoch", "epoch", s.epoch)
	}
	if err := e.commit(writes); err != nil {
		return fmt.Errorf("write down the place of the log: %w", err)
	}
	if err := writePID(lock, hex.EncodeToString(word[:])); err != nil && !isFullDisk(err) {
		return fmt.Errorf("write the lock file: %w", err)
	}
	return nil
}

package devices

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// countRecord is a counter's total in a file that outlives the process but not the boot: it is on a file system in memory, so that a write for each read of
// edges costs no flash. There are two slots, which are written in turn: the newer one that is whole counts. Its owner's mutex guards it.
type countRecord struct {
	f      *os.File
	key    [16]byte // of the device, the log and the boot
	number uint64   // of the newest slot
}

// recordedCount is what a record holds.
type recordedCount struct {
	base   [16]byte // the ID of the durable count that it goes on from; zero: there was none
	total  uint64   // with what is not durable
	unseen uint64
}

// A slot: magic, number, base, key, total, unseen, CRC-32C of what is before; little-endian.
const (
	slotMagic  = "gwcount1"
	slotSize   = 8 + 8 + 16 + 16 + 8 + 8 + 4
	slotStride = 128
)

// openRecord opens the record of a counter in the folder, which is made if need be. It returns what the record holds; false if it holds nothing that was
// written for this device, this log and this boot.
func openRecord(folder, name, logID, boot string) (r *countRecord, found recordedCount, ok bool, err error) {
	sum := sha256.Sum256([]byte(logID + "\x00" + boot + "\x00" + name))
	r = &countRecord{key: [16]byte(sum[:16])}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, found, false, fmt.Errorf("make the folder of runtime counts: %w", err)
	}
	path := filepath.Join(folder, escapeID(name)+"-"+hex.EncodeToString(sum[:4])+".count")
	r.f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, found, false, fmt.Errorf("open the runtime count: %w", err)
	}
	for slot := range int64(2) {
		var b [slotSize]byte
		if _, err := r.f.ReadAt(b[:], slot*slotStride); err != nil && !errors.Is(err, io.EOF) {
			return nil, found, false, errors.Join(fmt.Errorf("read the runtime count: %w", err), r.f.Close())
		}
		if n, c, whole := r.decode(b[:]); whole && n > r.number {
			r.number, found, ok = n, c, true
		}
	}
	return r, found, ok, nil
}

func (r *countRecord) decode(b []byte) (number uint64, c recordedCount, ok bool) {
	body, sum := b[:slotSize-4], binary.LittleEndian.Uint32(b[slotSize-4:])
	if string(body[:8]) != slotMagic || crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) != sum || !bytes.Equal(body[32:48], r.key[:]) {
		return 0, c, false
	}
	c.base = [16]byte(body[16:32])
	c.total, c.unseen = binary.LittleEndian.Uint64(body[48:]), binary.LittleEndian.Uint64(body[56:])
	return binary.LittleEndian.Uint64(body[8:]), c, true
}

// write puts c into the older slot. When it returns, c outlives the process.
func (r *countRecord) write(c recordedCount) error {
	r.number++
	b := append(make([]byte, 0, slotSize), slotMagic...)
	b = binary.LittleEndian.AppendUint64(b, r.number)
	b = append(b, c.base[:]...)
	b = append(b, r.key[:]...)
	b = binary.LittleEndian.AppendUint64(b, c.total)
	b = binary.LittleEndian.AppendUint64(b, c.unseen)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	_, err := r.f.WriteAt(b, int64(r.number%2)*slotStride)
	return err
}

func (r *countRecord) close() error { return r.f.Close() }

// countBase is an ID of a durable count as a record holds it.
func countBase(id string) (base [16]byte) {
	_, _ = hex.Decode(base[:], []byte(id)) // IDs are ours
	return base
}

// goesOn says whether the record was written after the durable count s, or at least after the one before it, whose commit it did not live to see.
func (c recordedCount) goesOn(s storedCount) bool {
	return c.total >= s.Total && (c.base == countBase(s.ID) || c.base == countBase(s.Previous))
}

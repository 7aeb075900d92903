// Package writelog reads the log of writes and flushes that qemu's blklogwrites driver keeps (the format is that of the
// kernel's dm-log-writes) and rebuilds the disk as a power cut at any place of it could have left it.
package writelog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// What an entry is, as a set.
const (
	Flush   = 1 << 0 // all writes before it are durable
	FUA     = 1 << 1 // its own data are durable
	Discard = 1 << 2
	Mark    = 1 << 3
)

// SectorSize is the unit of the log: qemu is told so.
const SectorSize = 512

const (
	magic   = 0x6a736677736872
	version = 1
)

// Entry is one request to the disk.
type Entry struct {
	// Sector is where its data go.
	Sector uint64
	Flags  uint64
	// At is where its data are in the log file, Len how many bytes they are.
	At, Len int64
	// End is how long the log file is when the entry is in it: whoever saw the file as long knows of the entry.
	End int64
}

// writes tells whether the entry changes the disk. A discard may leave what was there, and does so here.
func (e *Entry) writes() bool { return e.Len > 0 && e.Flags&(Discard|Mark) == 0 }

// Read returns the entries of a log file of size bytes. The superblock counts only what was there at a flush, so the
// entries are found one behind the other; what is not whole at the end does not count: qemu was killed meanwhile.
func Read(file io.ReaderAt, size int64) ([]Entry, error) {
	if size < SectorSize {
		return nil, nil
	}
	if err := checkSuper(file); err != nil {
		return nil, err
	}
	var entries []Entry
	header := make([]byte, 32)
	for at := int64(SectorSize); at+SectorSize <= size; {
		if _, err := file.ReadAt(header, at); err != nil {
			return nil, fmt.Errorf("read write log at %d: %w", at, err)
		}
		e, err := parse(header, at)
		if err != nil {
			return nil, err
		}
		if e.Flags == 0 && e.Len == 0 || e.End > size {
			break
		}
		entries = append(entries, e)
		at = e.End
	}
	return entries, nil
}

// checkSuper accepts a superblock that is not written yet.
func checkSuper(file io.ReaderAt) error {
	super := make([]byte, 28)
	if _, err := file.ReadAt(super, 0); err != nil {
		return fmt.Errorf("read write log: %w", err)
	}
	m, v, sector := binary.LittleEndian.Uint64(super), binary.LittleEndian.Uint64(super[8:]), binary.LittleEndian.Uint32(super[24:])
	if m == 0 && v == 0 && sector == 0 {
		return nil
	}
	if m != magic || v != version || sector != SectorSize {
		return fmt.Errorf("this is no write log: magic %#x, version %d, sectors of %d bytes", m, v, sector)
	}
	return nil
}

var errImplausible = errors.New("implausible entry")

// parse takes the header at a place of the log. How much data follow is said by the sectors; by the last field only for a mark.
func parse(header []byte, at int64) (Entry, error) {
	field := func(n int) uint64 { return binary.LittleEndian.Uint64(header[8*n:]) }
	e := Entry{Sector: field(0), Flags: field(2), At: at + SectorSize}
	length := field(1) * SectorSize
	switch {
	case e.Flags&Mark != 0:
		length = field(3)
	case e.Flags&Discard != 0:
		length = 0
	}
	if length > 1<<30 || field(1) > 1<<40 || e.Flags > Flush|FUA|Discard|Mark {
		return e, fmt.Errorf("write log at %d: %w: sector %d, %d sectors, flags %#x, %d bytes", at, errImplausible, field(0), field(1), field(2), field(3))
	}
	e.Len = int64(length)
	e.End = e.At + (e.Len+SectorSize-1)/SectorSize*SectorSize
	return e, nil
}

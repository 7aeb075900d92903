package buffer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// Carving finds blocks and records in any file, by their magic, their length and their checksum, without knowing what the
// engine made around them: it stores values as they are, in one piece.

// carver gets what was found, in the order of the file; at is its place there. What it is given is valid until it returns.
type carver struct {
	block  func(h header, block []byte, at int64) error
	record func(r record, at int64) error
}

const (
	// carveWindow is how much of a file is in memory at once. Twice what the largest block takes.
	carveWindow = 1 << 20
	maxBlock    = groupBound + headerSize
)

// carveFile reads the whole file from the given place on and returns how many bytes that were.
func carveFile(name string, from int64, c carver) (int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return carve(io.NewSectionReader(f, from, 1<<62-from), from, c)
}

// carve reads r, which begins at the given place of a file.
func carve(r io.Reader, from int64, c carver) (int64, error) {
	buf := make([]byte, 0, carveWindow)
	base, total := from, int64(0) // of buf[0] in the file
	for end := false; !end; {
		n, err := io.ReadFull(r, buf[len(buf):cap(buf)])
		buf, total = buf[:len(buf)+n], total+int64(n)
		end = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !end {
			return total, err
		}
		keep := maxBlock // what begins later may go on behind the window
		if end {
			keep = 0
		}
		done, err := c.window(buf, base, len(buf)-keep)
		if err != nil {
			return total, err
		}
		base += int64(done)
		buf = buf[:copy(buf, buf[done:])]
	}
	return total, nil
}

// window looks for what begins in buf before limit, and returns how far it came.
func (c *carver) window(buf []byte, base int64, limit int) (int, error) {
	at := 0
	for at < limit {
		i := bytes.Index(buf[at:], []byte("EG"))
		if i < 0 || at+i >= limit {
			return max(at, limit), nil
		}
		at += i
		n, err := c.piece(buf[at:], base+int64(at))
		if err != nil {
			return at, err
		}
		at += max(n, 2)
	}
	return at, nil
}

// piece gives away the block or record that b begins with, and returns its length; 0 if there is none.
func (c *carver) piece(b []byte, at int64) (int, error) {
	if len(b) >= 4 && string(b[:4]) == recordMagic && c.record != nil {
		r, err := parseRecord(b[:min(len(b), maxBlock)])
		if err != nil {
			return 0, nil
		}
		return r.size, c.record(r, at)
	}
	if len(b) >= headerSize && string(b[:4]) == blockMagic && c.block != nil {
		n, ok := blockLength(b)
		if !ok {
			return 0, nil
		}
		h, err := parseHeader(b[:n])
		if err != nil {
			return 0, nil
		}
		return n, c.block(h, b[:n], at)
	}
	return 0, nil
}

// blockLength is how long the block that b begins with is, by what its header and its body say.
func blockLength(b []byte) (int, bool) {
	n := headerSize
	switch b[5] {
	case codecNone:
		raw := binary.LittleEndian.Uint32(b[28:])
		if raw > maxRawBody {
			return 0, false
		}
		n += int(raw)
	case codecZstd:
		frame, ok := zstdFrameLength(b[headerSize:])
		if !ok {
			return 0, false
		}
		n += frame
	default:
		return 0, false
	}
	return n, n <= len(b)
}

// zstdFrameLength walks the blocks of the frame that b begins with (RFC 8878, section 3.1.1).
func zstdFrameLength(b []byte) (int, bool) {
	if len(b) < 5 || binary.LittleEndian.Uint32(b) != 0xFD2FB528 {
		return 0, false
	}
	d := b[4]
	single := d >> 5 & 1
	n := 5 + int(1-single) + [...]int{0, 1, 2, 4}[d&3]
	n += [...]int{int(single), 2, 4, 8}[d>>6]
	for {
		if n+3 > len(b) {
			return 0, false
		}
		h := uint32(b[n]) | uint32(b[n+1])<<8 | uint32(b[n+2])<<16
		size := int(h >> 3)
		switch h >> 1 & 3 {
		case 1: // one byte, repeated
			size = 1
		case 3:
			return 0, false
		}
		n += 3 + size
		if h&1 == 1 {
			break
		}
	}
	n += 4 * int(d>>2&1) // its checksum
	return n, n <= len(b)
}

// carveError says where carving stopped.
func carveError(name string, err error) error {
	return fmt.Errorf("search %s for events: %w", name, err)
}

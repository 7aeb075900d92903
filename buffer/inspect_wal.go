package buffer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"

	"gateway"
)

// wal is what a write-ahead log of the engine looks like (badger memtable.go and structs.go): a header of 20 bytes, then entries: meta, user
// meta, uvarint length of key and value, uvarint expiry, key and its version, value, CRC-32C. The entries of a transaction
// bear a bit, and one with another bit ends it. Behind the end there are zeros.
type wal struct {
	first gateway.Offset // the lowest of a block, 0 if it has none
	end   int64          // behind the last whole transaction
	rest  int64          // bytes behind it that are not zero, up to the last of them
	// transactions is of how many transactions pieces were found in the rest. A torn write leaves one at most: each is synced
	// before the next begins.
	transactions int
	// format says that it has the version of the store, which the very first transaction wrote.
	format bool
}

const (
	walHeader   = 20
	walInTxn    = 1 << 6
	walEndTxn   = 1 << 7
	walMost     = 64 << 20
	walVersions = 8 // bytes of version behind each key
)

func scanWAL(name string) (wal, error) {
	info, err := os.Stat(name)
	if err != nil {
		return wal{}, err
	}
	if info.Size() > walMost {
		return wal{}, fmt.Errorf("it has %s, no write-ahead log is so large", mib(info.Size()))
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return wal{}, err
	}
	if len(b) > 0 && (len(b) < walHeader || binary.BigEndian.Uint64(b) != 0) { // the number of the key that it is encrypted with: none
		return wal{}, errors.New("it does not begin as a write-ahead log does")
	}
	return parseWAL(b), nil
}

func parseWAL(b []byte) wal {
	w := wal{end: min(walHeader, int64(len(b)))}
	first, format := gateway.Offset(0), false
	for at, inTxn := int(w.end), false; ; {
		e, ok := nextWALEntry(b[at:])
		if !ok {
			break
		}
		at += e.size
		if isBlockKey(e.key) && len(e.key) == len(prefixBlock)+8 {
			if offset := blockOffset(e.key); first == 0 || offset < first {
				first = offset
			}
		}
		format = format || string(e.key) == metaFormat
		inTxn = e.meta&walInTxn != 0
		if !inTxn {
			w.end, w.first, w.format = int64(at), first, format
		}
	}
	rest := b[w.end:]
	rest = rest[:withoutZeros(rest)]
	w.rest = int64(len(rest))
	if w.rest > 0 {
		w.transactions = transactionsIn(rest)
	}
	return w
}

// withoutZeros is the length of b without the zeros at its end: most of a log that was made in advance.
func withoutZeros(b []byte) int {
	var zeros [4096]byte
	for n := len(zeros); len(b) >= n && bytes.Equal(b[len(b)-n:], zeros[:]); {
		b = b[:len(b)-n]
	}
	return len(bytes.TrimRight(b, "\x00"))
}

type walEntry struct {
	meta byte
	key  []byte // without its version
	size int
}

func nextWALEntry(b []byte) (walEntry, bool) {
	if len(b) < 2 {
		return walEntry{}, false
	}
	c := input{b: b[2:]}
	klen, vlen := c.uvarint(), c.uvarint()
	c.uvarint()
	if c.err != nil || klen < walVersions || klen > 1<<16 {
		return walEntry{}, false
	}
	key := c.take(klen)
	c.take(vlen)
	n := len(b) - len(c.b)
	sum := c.take(crc32.Size)
	if c.err != nil || crc32.Checksum(b[:n], crc32.MakeTable(crc32.Castagnoli)) != binary.BigEndian.Uint32(sum) {
		return walEntry{}, false
	}
	return walEntry{b[0], key[:len(key)-walVersions], n + crc32.Size}, true
}

// transactionsIn counts of how many transactions there are pieces in b: each has one block at most, and its records bear its number.
func transactionsIn(b []byte) int {
	stamps := map[uint64]bool{}
	blocks := 0
	_, _ = carve(bytes.NewReader(b), 0, carver{ // a reader of memory has no errors
		block:  func(header, []byte, int64) error { blocks++; return nil },
		record: func(r record, _ int64) error { stamps[r.stamp] = true; return nil },
	})
	return max(blocks, len(stamps))
}

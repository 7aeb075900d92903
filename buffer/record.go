package buffer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Everything in the store that is not a block (cursors, keys, what the log knows of itself) is a record: it carries its
// own key, the number of its transaction and a checksum, so that what is read back is what was written, and so that the
// newest of it can be found in a file that the engine cannot read any more. format.md is the description.
const (
	recordMagic      = "EGKV"
	recordHeaderSize = 4 + 4 + 8
	// recordOverhead is what a record takes beside its key (which it has twice) and its value, at most.
	recordOverhead = recordHeaderSize + 2*binary.MaxVarintLen32
)

var errRecordShort = errors.New("it ends early")

// appendRecord appends the record of key and value as transaction stamp writes it.
func appendRecord(b []byte, stamp uint64, key, value []byte) []byte {
	start := len(b)
	b = append(b, recordMagic...)
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, stamp)
	b = binary.AppendUvarint(b, uint64(len(key)))
	b = append(b, key...)
	b = binary.AppendUvarint(b, uint64(len(value)))
	b = append(b, value...)
	sum := crc32.Checksum(b[start+8:], crc32.MakeTable(crc32.Castagnoli))
	binary.LittleEndian.PutUint32(b[start+4:], sum)
	return b
}

// record is a record that was read; key and value are parts of what it was read from.
type record struct {
	stamp      uint64
	key, value []byte
	size       int // all of it, in bytes
}

// parseRecord reads the record that b begins with, and verifies its checksum. What follows it is no matter.
func parseRecord(b []byte) (record, error) {
	var r record
	if len(b) < recordHeaderSize || string(b[:4]) != recordMagic {
		return r, errors.New("it does not begin as a record does")
	}
	c := input{b: b[recordHeaderSize:]}
	r.stamp = binary.LittleEndian.Uint64(b[8:])
	r.key = c.take(c.uvarint())
	r.value = c.take(c.uvarint())
	if c.err != nil {
		return r, errRecordShort
	}
	r.size = len(b) - len(c.b)
	have, want := crc32.Checksum(b[8:r.size], crc32.MakeTable(crc32.Castagnoli)), binary.LittleEndian.Uint32(b[4:])
	if have != want {
		return r, fmt.Errorf("its checksum is %08x, it says %08x", have, want)
	}
	return r, nil
}

// recordValue is the value of the record that b is, of key.
func recordValue(key, b []byte) ([]byte, error) {
	r, err := parseRecord(b)
	switch {
	case err != nil:
		return nil, &RecordError{Key: string(key), Err: err}
	case string(r.key) != string(key):
		return nil, &RecordError{Key: string(key), Err: fmt.Errorf("it is that of %q", r.key)}
	case r.size != len(b):
		return nil, &RecordError{Key: string(key), Err: fmt.Errorf("%d bytes follow it", len(b)-r.size)}
	}
	return r.value, nil
}

package buffer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"

	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/pb"
	"google.golang.org/protobuf/proto"
)

// A table ends with its index, the length of that, the checksum of it, and the length of that; each of its units ends with
// a checksum and the length of that (badger table/builder.go). The engine reads the index and the last unit when it opens a
// table, and ends the process if they are not as they should be.

var errTableShort = errors.New("it ends early")

// tableFile reads the end of a table.
type tableFile struct {
	f   *os.File
	end int64 // of what was not read yet
}

// before returns the n bytes before the end, and moves it.
func (t *tableFile) before(n int64) ([]byte, error) {
	if n < 0 || n > t.end {
		return nil, errTableShort
	}
	b := make([]byte, n)
	t.end -= n
	_, err := t.f.ReadAt(b, t.end)
	return b, err
}

// sized returns the bytes before the end whose length stands behind them.
func (t *tableFile) sized() ([]byte, error) {
	n, err := t.before(4)
	if err != nil {
		return nil, err
	}
	return t.before(int64(binary.BigEndian.Uint32(n)))
}

// checkTable verifies the index of a table and its last unit, with full every unit.
func checkTable(name string, full bool) (err error) {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	defer func() {
		if r := recover(); r != nil { // an index whose checksum is right, and that is none
			err = fmt.Errorf("its index cannot be read: %v", r)
		}
	}()
	t := &tableFile{f, info.Size()}
	sum, err := t.sized()
	if err != nil {
		return err
	}
	index, err := t.sized()
	if err != nil {
		return err
	}
	if err := checkSum(index, sum); err != nil {
		return fmt.Errorf("its index: %w", err)
	}
	return checkUnits(f, fb.GetRootAsTableIndex(index, 0), t.end, full)
}

// checkUnits verifies the units that end at or before end.
func checkUnits(f *os.File, index *fb.TableIndex, end int64, full bool) error {
	n := index.OffsetsLength()
	if n == 0 {
		return errors.New("its index is empty")
	}
	from := n - 1
	if full {
		from = 0
	}
	var unit fb.BlockOffset
	for i := from; i < n; i++ {
		if !index.Offsets(&unit, i) || int64(unit.Offset())+int64(unit.Len()) > end {
			return errTableShort
		}
		b := make([]byte, unit.Len())
		if _, err := f.ReadAt(b, int64(unit.Offset())); err != nil {
			return err
		}
		if err := checkUnit(b); err != nil {
			return fmt.Errorf("unit %d of %d at byte %d: %w", i+1, n, unit.Offset(), err)
		}
	}
	return nil
}

func checkUnit(b []byte) error {
	if len(b) < 8 {
		return errTableShort
	}
	size := int64(binary.BigEndian.Uint32(b[len(b)-4:]))
	end := int64(len(b)-4) - size
	if end < 4 {
		return errTableShort
	}
	return checkSum(b[:end], b[end:len(b)-4])
}

// checkSum compares b with its checksum, as the engine keeps it.
func checkSum(b, sum []byte) error {
	var want pb.Checksum
	if err := proto.Unmarshal(sum, &want); err != nil {
		return fmt.Errorf("its checksum cannot be read: %w", err)
	}
	if want.Algo != pb.Checksum_CRC32C {
		return fmt.Errorf("its checksum is of kind %d", want.Algo)
	}
	if have := uint64(crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))); have != want.Sum {
		return fmt.Errorf("its checksum is %08x, it says %08x", have, want.Sum)
	}
	return nil
}

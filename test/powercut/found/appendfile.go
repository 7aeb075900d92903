package found

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxRecord is longer than any payload of the rig.
const maxRecord = 4 << 10

// AppendRecord appends a payload as the control, which appends without fsync, writes it: uvarint length, bytes.
func AppendRecord(dst, payload []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(payload))), payload...)
}

// InAppendFile reads the control's file up to the first record that is not whole.
func InAppendFile(name string) Found {
	f := Found{Clients: map[int]*Ranges{}}
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return f
	}
	if err != nil {
		f.Error = err.Error()
		return f
	}
	defer file.Close()
	f.readRecords(bufio.NewReader(file))
	return f
}

func (f *Found) readRecords(r *bufio.Reader) {
	payload := make([]byte, maxRecord)
	for {
		n, err := binary.ReadUvarint(r)
		if err != nil || n == 0 || n > maxRecord {
			return
		}
		if _, err := io.ReadFull(r, payload[:n]); err != nil {
			return
		}
		f.Events++
		f.take(payload[:n], fmt.Sprintf("record %d", f.Events))
	}
}

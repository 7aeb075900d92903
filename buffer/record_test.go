package buffer

import (
	"bytes"
	"testing"
)

func TestRecordIsWhatWasWritten(t *testing.T) {
	t.Parallel()
	b := appendRecord(nil, 42, []byte("c/up"), []byte{1, 2, 3})
	r, err := parseRecord(append(bytes.Clone(b), "what follows"...))
	if err != nil || r.stamp != 42 || string(r.key) != "c/up" || !bytes.Equal(r.value, []byte{1, 2, 3}) || r.size != len(b) {
		t.Fatalf("got %+v, %v", r, err)
	}
	if _, err := recordValue([]byte("c/up"), b); err != nil {
		t.Error(err)
	}
	if _, err := recordValue([]byte("c/other"), b); err == nil {
		t.Error("a record was taken for that of another key")
	}
	for i := range b {
		for bit := range 8 {
			bad := bytes.Clone(b)
			bad[i] ^= 1 << bit
			if v, err := recordValue([]byte("c/up"), bad); err == nil {
				t.Fatalf("bit %d of byte %d flipped: got %v, want an error", bit, i, v)
			}
		}
		if _, err := parseRecord(b[:i]); err == nil {
			t.Fatalf("%d of %d bytes were taken for all of it", i, len(b))
		}
	}
}

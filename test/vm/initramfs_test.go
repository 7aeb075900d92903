package vm

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"
)

func TestMembersAreAligned(t *testing.T) {
	t.Parallel()
	packed, err := Initramfs([]File{{Name: "bin", Mode: Folder}, {Name: "bin/x", Mode: Executable, Data: []byte("hello")}})
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	for _, member := range []string{"bin\x00", "bin/x\x00", "TRAILER!!!\x00"} {
		at := bytes.Index(b, []byte(member))
		if at < 110 || (at-110)%4 != 0 || !strings.HasPrefix(string(b[at-110:]), "070701") {
			t.Errorf("%q stands at %d, want 110 bytes behind an aligned header", member, at)
		}
	}
	if len(b)%4 != 0 || !bytes.Contains(b, []byte("000081ed")) || !bytes.Contains(b, []byte("hello\x00\x00\x00")) {
		t.Errorf("got %d bytes, want modes and padded data in %.500q", len(b), b)
	}
}

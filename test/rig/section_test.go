package rig

import (
	"os"
	"path/filepath"
	"testing"
)

func TestReplaceSection(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "doc.md")
	const before = "# A\n\n<!-- x: begin -->\nold\n<!-- x: end -->\n\nB\n"
	if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // again: it is the same
		if err := ReplaceSection(file, "x", "\nnew\n\n"); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(file)
		if want := "# A\n\n<!-- x: begin -->\n\nnew\n\n<!-- x: end -->\n\nB\n"; err != nil || string(got) != want {
			t.Errorf("got %q and %v, want %q", got, err, want)
		}
	}
	if err := HasSection(file, "y"); err == nil {
		t.Error("a section that is not there was found")
	}
}

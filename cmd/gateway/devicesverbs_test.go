package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gateway/configs"
)

// TestScanPrintsConfiguration: what `gateway devices scan` prints to be pasted is a configuration as it stands.
func TestScanPrintsConfiguration(t *testing.T) {
	t.Parallel()
	goldens, err := filepath.Glob("../../devices/testdata/scan/*.golden")
	if err != nil || len(goldens) == 0 {
		t.Fatalf("got %v, %v, want what the tests of scan keep", goldens, err)
	}
	for _, golden := range goldens {
		text, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		_, block, found := strings.Cut(string(text), "\ndevices:\n")
		want := strings.Count(block, "\n  - ") + 1
		if !found {
			t.Errorf("%s: there is nothing to paste", golden)
			continue
		}
		c, err := configs.Parse(golden, t.TempDir(), []byte("id: try\ndevices:\n"+block), os.LookupEnv)
		if err != nil {
			t.Errorf("%s: %v", golden, err)
			continue
		}
		if len(c.Devices) != want {
			t.Errorf("%s: got %d devices, want %d", golden, len(c.Devices), want)
		}
	}
}

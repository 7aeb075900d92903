package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gateway/test/rig"
)

// TestDiskCountsWhatIsWritten: a MiB that is written and synced is a MiB and the journal; what others write is not in it.
func TestDiskCountsWhatIsWritten(t *testing.T) {
	t.Parallel()
	d, err := newDisk(t.TempDir(), "disk")
	if d != nil {
		t.Cleanup(func() {
			if err := d.remove(); err != nil {
				t.Error(err)
			}
		})
	}
	if errors.Is(err, errNoDisk) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	written := func() int64 {
		if err := d.sync(); err != nil {
			t.Fatal(err)
		}
		n, err := rig.DeviceWritten(d.dir)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := written()
	if err := os.WriteFile(filepath.Join(d.dir, "file"), make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := written() - before; got < 1<<20 || got > 1<<20+256<<10 {
		t.Errorf("got %d bytes counted for 1 MiB", got)
	}
}

// TestWearTablesOfNothing: a cell that measured nothing is a dash or 0, never Inf or NaN.
func TestWearTablesOfNothing(t *testing.T) {
	t.Parallel()
	var cells []*cell
	for _, rate := range append(allRates(), downRate) {
		for i := range systems() {
			cells = append(cells, &cell{system: i, rate: rate, down: len(cells) >= len(systems())*len(allRates()), cost: cost{device: -1}})
		}
	}
	text := (&bench{}).wearSection(cells)
	if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Errorf("got\n%s", text)
	}
	for _, l := range wearLines(cells) {
		if strings.Contains(l.ratio+l.ours+l.peer, "NaN") || strings.Contains(l.ratio, "Inf") {
			t.Errorf("got %+v", l)
		}
	}
}

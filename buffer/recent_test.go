package buffer

import (
	"fmt"
	"testing"

	"gateway"
)

func TestRecentBringsMarksBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openLog(t, Options{Dir: dir})
	mustAppend(t, l, event("without"))
	mustCommit(t, l, gateway.Batch{Events: []gateway.Event{event("a"), event("b")}, Marks: []uint32{7, 1<<32 - 1}})
	closeLog(t, l)
	l = openLog(t, Options{Dir: dir})
	var got []string
	if err := l.Recent(func(e *gateway.Entry, mark uint32) error {
		got = append(got, fmt.Sprintf("%d %s %d", e.Offset, e.Event.Data, mark))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if want := "[1 without 0 2 a 7 3 b 4294967295]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	// The reader does not see them.
	if all := readTo(t, l, 0, 3); len(all) != 3 || string(all[1].Event.Data) != "a" {
		t.Errorf("got %+v", all)
	}
}

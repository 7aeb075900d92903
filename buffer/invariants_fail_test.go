package buffer

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestInvariantsCanFail breaks one invariant of a log at a time, and wants it named.
func TestInvariantsCanFail(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want string
		writes     []write
		files      map[string]string
	}{
		{name: "nothing"},
		{name: "key", want: "not well-formed", writes: []write{{[]byte("x/"), []byte("1")}}},
		{name: "block key", want: "not well-formed", writes: []write{{[]byte("b12"), []byte("1")}}},
		{name: "block", want: "says it begins at", writes: []write{{blockKey(3), []byte("EGBK")}}},
		{name: "missing block", want: "offsets 3 to 4 are missing", writes: []write{{key: blockKey(3)}}},
		{name: "missing end", want: "the state is", writes: []write{{key: blockKey(5)}}},
		{name: "head", want: "was written after", writes: []write{{[]byte(metaHead), headValue(3, 1)}}},
		{name: "cursor", want: "cursor up is at 9", writes: []write{{[]byte(prefixCursor + "up"), []byte{9}}}},
		{name: "gap over events", want: "and in the gap", writes: []write{{gapKey(3), []byte(`{"from":3,"to":4,"reason":"full"}`)}}},
		{name: "gap beside its key", want: "is the gap", writes: []write{{gapKey(3), []byte(`{"from":4,"to":4,"reason":"full"}`)}}},
		{name: "reason", want: "has the reason", writes: []write{{gapKey(9), []byte(`{"from":9,"to":9,"reason":"why"}`)}}},
		{name: "epoch", want: "the epoch is 0", writes: []write{{[]byte(metaEpoch), []byte{0}}}},
		{name: "stray file", want: "stray should not be in", files: map[string]string{"stray": "x"}},
		{name: "stray table", want: "000900.sst", files: map[string]string{engineName + "/000900.sst": "x"}},
		{name: "quarantine", want: "in quarantine", files: map[string]string{quarantineName + "/1": "x"}},
		{name: "state", want: "the state", files: map[string]string{stateName: "x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := openLog(t, Options{})
			dir := l.o.Dir
			keepsInvariants(dir, c.want == "")
			appendBlocks(t, l, 3)
			settle(t, l, "up", 0)
			closeLog(t, l)
			breakStore(t, dir, c.writes)
			for name, content := range c.files {
				name = filepath.Join(dir, name)
				if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(content), 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			got := strings.Join(brokenInvariants(dir, l, false), "\n")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q in it", got, c.want)
			}
		})
	}
}

// breakStore writes into a closed store behind the log's back.
func breakStore(t *testing.T, dir string, writes []write) {
	t.Helper()
	if len(writes) == 0 {
		return
	}
	o, err := Options{Dir: dir}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	e, err := openEngine(filepath.Join(dir, engineName), engineGeometry(intSize), o.Logger)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(e.commit(writes), e.close(closePatience), removeEmptyWALs(e.dir)); err != nil {
		t.Fatal(err)
	}
}

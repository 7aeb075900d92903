package buffer

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"gateway"
)

// TestNoIDIsGivenTwice goes on from the same log in several ways that people have: a copy, a backup that is brought back over it, with and
// without the lock file, a clone on another machine, a move to another folder. Whatever they append has an ID of its own.
func TestNoIDIsGivenTwice(t *testing.T) {
	t.Parallel()
	machine := func(id string) hooks { return hooks{machine: func() string { return id }} }
	base := t.TempDir()
	dir := filepath.Join(base, "data")
	copyTo := func(from, to string) {
		t.Helper()
		if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	ids := map[string]string{}
	goOn := func(what, dir, id string) (first gateway.Offset) {
		t.Helper()
		l := openLog(t, Options{Dir: dir, hooks: machine(id)})
		last, err := l.Append(testContext(t), event(what), event(what))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range readTo(t, l, last-2, last) {
			if other, ok := ids[e.Event.ID]; ok {
				t.Errorf("%s gave the ID %s to an event, which one of %q has", what, e.Event.ID, other)
			}
			ids[e.Event.ID] = what
		}
		closeLog(t, l)
		return last
	}
	goOn("the log", dir, "a")
	backup := filepath.Join(base, "backup")
	copyTo(dir, backup)
	goOn("the log after the backup", dir, "a")
	clone := filepath.Join(base, "clone")
	copyTo(backup, clone)
	goOn("a copy", clone, "a")
	other := filepath.Join(base, "other")
	copyTo(backup, other)
	goOn("a clone on another machine", other, "b")

	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	copyTo(backup, dir)
	goOn("the backup in its old place", dir, "a")
	goOn("the backup, once more", dir, "a")
	// The lock file stays, everything else goes back.
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != lockName {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				t.Fatal(err)
			}
			copyTo(filepath.Join(backup, e.Name()), filepath.Join(dir, e.Name()))
		}
	}
	goOn("the backup under the old lock file", dir, "a")
}

// TestRestartsKeepTheEpoch: only what may give an ID twice raises it.
func TestRestartsKeepTheEpoch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 3 {
		l := openLog(t, Options{Dir: dir})
		if _, err := l.Append(testContext(t), event("x")); err != nil {
			t.Fatal(err)
		}
		if s := l.Status(); s.Epoch != 1 {
			t.Errorf("got epoch %d, want 1", s.Epoch)
		}
		closeLog(t, l)
	}
}

package buffer

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"gateway"
)

// breakBlock flips a bit of the block at first, or removes it, behind the back of the log.
func breakBlock(t *testing.T, l *Log, first gateway.Offset, remove bool) {
	t.Helper()
	w := write{key: blockKey(first)}
	if !remove {
		err := l.engine.get(w.key, func(v []byte) error { w.value = append(w.value, v...); return nil })
		if err != nil {
			t.Fatal(err)
		}
		w.value[len(w.value)-1] ^= 1
	}
	if err := l.engine.commit([]write{w}); err != nil {
		t.Fatal(err)
	}
}

// gapOf returns the gap that the entry stands for.
func gapOf(t *testing.T, e *gateway.Entry) gateway.Gap {
	t.Helper()
	var g gateway.Gap
	if e.Event.Type != gateway.TypeGap {
		t.Fatalf("offset %d is a %s, want a gap", e.Offset, e.Event.Type)
	}
	if err := json.Unmarshal(e.Event.Data, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// TestDamageBecomesAGap: a block that is damaged while the log runs is set aside, every reader gets the gap in its place, and it is still
// there after a restart. Nothing else is lost, and events are taken all the while.
func TestDamageBecomesAGap(t *testing.T) {
	t.Parallel()
	for _, missing := range []bool{false, true} {
		name := map[bool]string{false: "altered", true: "missing"}[missing]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			l := openLog(t, Options{Dir: dir})
			keepsQuarantine(dir)
			settle(t, l, "up", 0)
			appendBlocks(t, l, 4) // at 1, 3, 5, 7
			breakBlock(t, l, 5, missing)
			closeLog(t, l)
			l = openLog(t, Options{Dir: dir}) // so that it is not in memory
			if missing {
				l = wantStop(t, l, 4)
			}
			for _, from := range []gateway.Offset{0, 5} { // also in the middle of it
				entries := readTo(t, l, from, 8)
				at := 4
				if from == 5 {
					at = 0
				}
				if g := gapOf(t, &entries[at]); g.From != max(from+1, 5) || g.To != 6 || g.Reason != gateway.LostDamage || g.Until.IsZero() {
					t.Errorf("after %d: got gap %+v, want 5 to 6", from, g)
				}
				if len(entries) != at+3 {
					t.Errorf("after %d: got %d entries, want %d and the gap", from, len(entries), at+2)
				}
			}
			if s := l.Status(); s.Lost[gateway.LostDamage] != 2 || len(s.Gaps) != 1 {
				t.Errorf("got status %+v, want 2 events lost in a gap", s)
			}
			kept, err := filepath.Glob(filepath.Join(dir, quarantineName, "*", "block-5"))
			if err != nil || len(kept) != 1 && !missing {
				t.Errorf("got %q in quarantine, %v; want the block", kept, err)
			}
			if _, err := l.Append(testContext(t), event("x")); err != nil {
				t.Error(err)
			}
			settle(t, l, "up", 9) // everybody is past it, and the gap is in what is kept
			closeLog(t, l)
			l = openLog(t, Options{Dir: dir, KeepDelivered: 1 << 40})
			if entries := readTo(t, l, 0, 9); len(entries) != 8 || gapOf(t, &entries[4]).To != 6 {
				t.Errorf("after a restart: got %d entries, want 7 and the gap", len(entries))
			}
		})
	}
}

// wantStop reads behind after, where more may be missing than one block: the log stops, and another start looks at everything.
func wantStop(t *testing.T, l *Log, after gateway.Offset) *Log {
	t.Helper()
	if _, err := l.NewReader(after).Next(testContext(t), 1); !errors.Is(err, errEngine) {
		t.Errorf("got %v, want the log stopped", err)
	}
	if _, err := l.Append(testContext(t), event("x")); !errors.Is(err, errEngine) {
		t.Errorf("got %v from a log that cannot read, want an error", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	l = openLog(t, Options{Dir: l.o.Dir})
	if !l.looked {
		t.Error("the next start did not look at everything")
	}
	return l
}

// TestDamageOfTheNewestBlock is a gap up to the end: the offsets are not given again.
func TestDamageOfTheNewestBlock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openLog(t, Options{Dir: dir})
	keepsQuarantine(dir)
	settle(t, l, "up", 0)
	appendBlocks(t, l, 4)
	l.tail.mu.Lock() // so that it is read from the disk
	l.tail.blocks, l.tail.start, l.tail.bytes = nil, 0, 0
	l.tail.mu.Unlock()
	breakBlock(t, l, 7, false)
	l = wantStop(t, l, 6)
	entries := readTo(t, l, 6, 8)
	if g := gapOf(t, &entries[0]); g.From != 7 || g.To != 8 {
		t.Errorf("got %+v, want a gap from 7 to 8", g)
	}
	closeLog(t, l)
	l = openLog(t, Options{Dir: dir})
	last, err := l.Append(testContext(t), event("x"))
	if err != nil || last != 9 {
		t.Errorf("got offset %d, %v; want 9", last, err)
	}
	if entries := readTo(t, l, 6, 9); len(entries) != 2 || gapOf(t, &entries[0]).To != 8 {
		t.Errorf("got %d entries, want the gap and the event", len(entries))
	}
}

// TestEngineThatCannotReadStopsTheLog: then the next start looks at every file.
func TestEngineThatCannotReadStopsTheLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openLog(t, Options{Dir: dir})
	appendBlocks(t, l, 1)
	if err := l.mend(testContext(t), 1, errEngine); !errors.Is(err, errEngine) {
		t.Errorf("got %v, want what the engine said", err)
	}
	if _, err := l.Append(testContext(t), event("x")); !errors.Is(err, errEngine) {
		t.Errorf("got %v from a log that cannot read, want an error", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if s, err := readState(dir); err != nil || !s.Suspect || s.Clean {
		t.Errorf("got state %+v, %v; want it suspect", s, err)
	}
	l = openLog(t, Options{Dir: dir})
	if got := readTo(t, l, 0, 2); len(got) != 2 {
		t.Errorf("got %d events, want 2", len(got))
	}
}

// TestCrashLoopIsSuspect: a process that never runs for long may be ended by what it opens.
func TestCrashLoopIsSuspect(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openLog(t, Options{Dir: dir})
	appendBlocks(t, l, 1)
	closeLog(t, l)
	for range suspectStarts {
		l = openLog(t, Options{Dir: dir})
		before, err := os.ReadFile(filepath.Join(dir, stateName))
		if err != nil {
			t.Fatal(err)
		}
		closeLog(t, l)
		if err := os.WriteFile(filepath.Join(dir, stateName), before, 0o600); err != nil { // as a crash leaves it
			t.Fatal(err)
		}
	}
	if s, err := readState(dir); err != nil || s.Starts < suspectStarts {
		t.Errorf("got state %+v, %v; want %d starts", s, err, suspectStarts)
	}
	l = openLog(t, Options{Dir: dir})
	closeLog(t, l)
	if s, err := readState(dir); err != nil || s.Starts != 0 {
		t.Errorf("got state %+v, %v; want it trusted", s, err)
	}
}

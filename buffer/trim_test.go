package buffer

import (
	"testing"
	"time"

	"gateway"
)

func appendBlocks(t *testing.T, l *Log, n int) {
	t.Helper()
	for range n {
		mustAppend(t, l, event("a"), event("b"))
	}
}

func blocksOnDisk(t *testing.T, l *Log) int {
	t.Helper()
	refs, err := l.engine.blocksFrom(0, nil, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return len(refs)
}

func TestCursorsPersist(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openLog(t, Options{Dir: dir})
	if at, ok := l.Cursor("up"); ok {
		t.Errorf("got cursor %d in a new log", at)
	}
	appendBlocks(t, l, 3)
	settle(t, l, "up", 3)
	err := l.Submit(testContext(t), gateway.Batch{Cursors: []gateway.CursorMove{{Name: "up", Offset: 4}}}, func(gateway.Offset, error) {})
	if err != nil {
		t.Fatal(err)
	}
	if at, ok := l.Cursor("up"); !ok || at != 4 {
		t.Errorf("got pending cursor %d, %v, want 4", at, ok)
	}
	if at := l.Status().Cursors["up"]; at != 3 {
		t.Errorf("got durable cursor %d, want 3", at)
	}
	closeLog(t, l) // makes it durable
	l = openLog(t, Options{Dir: dir})
	if at, ok := l.Cursor("up"); !ok || at != 4 {
		t.Errorf("got cursor %d, %v after reopening, want 4", at, ok)
	}
}

// TestLazyCursors: a consumer that moves its cursor all the time costs one sync a second when nothing else is written.
func TestLazyCursors(t *testing.T) {
	t.Parallel()
	l := openLog(t, Options{})
	appendBlocks(t, l, 1)
	start, before := time.Now(), l.Status().Commits
	moves := 0
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for time.Since(start) < 2200*time.Millisecond {
		<-tick.C
		moves++
		err := l.Submit(testContext(t), gateway.Batch{Cursors: []gateway.CursorMove{{Name: "up", Offset: gateway.Offset(moves % 2)}}}, func(gateway.Offset, error) {})
		if err != nil {
			t.Fatal(err)
		}
	}
	if c := l.Status().Commits - before; c < 1 || c > 3 {
		t.Errorf("got %d commits for %d cursor moves in %s, want one a second", c, moves, time.Since(start))
	}
	mustAppend(t, l, event("x")) // and it takes the cursor along
	if at := l.Status().Cursors["up"]; at != gateway.Offset(moves%2) {
		t.Errorf("got durable cursor %d after an append, want %d", at, moves%2)
	}
}

func TestTrimBehindAllCursors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openLog(t, Options{Dir: dir})
	settle(t, l, "slow", 0)
	settle(t, l, "fast", 0)
	appendBlocks(t, l, 10) // 20 events
	settle(t, l, "fast", 20)
	if s := l.Status(); s.First != 1 || s.Trimmed != 0 {
		t.Errorf("got first %d, trimmed %d with a cursor at 0, want 1 and 0", s.First, s.Trimmed)
	}
	appendBlocks(t, l, recentBlocks) // which stay, whoever is past them: 21 to 148
	settle(t, l, "fast", 148)
	settle(t, l, "slow", 7) // in the middle of the fourth block
	if s := l.Status(); s.First != 7 || s.Trimmed != 6 {
		t.Errorf("got first %d, trimmed %d with a cursor at 7, want 7 and 6", s.First, s.Trimmed)
	}
	if n := blocksOnDisk(t, l); n != 7+recentBlocks {
		t.Errorf("got %d blocks, want %d", n, 7+recentBlocks)
	}
	closeLog(t, l)
	l = openLog(t, Options{Dir: dir})
	if s := l.Status(); s.First != 7 || s.Last != 148 {
		t.Errorf("got %d to %d after reopening, want 7 to 148", s.First, s.Last)
	}
	if got := readTo(t, l, 0, 148); got[0].Offset != 7 {
		t.Errorf("a reader from the beginning: got %d first, want 7", got[0].Offset)
	}
	settle(t, l, "slow", 148) // everything
	if s := l.Status(); s.First != 21 || s.Last != 148 || blocksOnDisk(t, l) != recentBlocks {
		t.Errorf("got %d to %d and %d blocks, want the newest %d blocks, from 21", s.First, s.Last, blocksOnDisk(t, l), recentBlocks)
	}
	closeLog(t, l)
	l = openLog(t, Options{Dir: dir})
	if last := mustAppend(t, l, event("x")); last != 149 {
		t.Errorf("got offset %d, want 149: offsets are never given twice", last)
	}
}

// TestTrimManyBlocks trims more blocks than one transaction and one look ahead take, also across a start.
func TestTrimManyBlocks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openLog(t, Options{Dir: dir})
	settle(t, l, "up", 0)
	const n = trimAhead + maxDeletesAlone + 5
	writes := make([]write, 0, 100)
	cumulative := uint64(0)
	for i := 0; i < n; i += 100 { // as single appends would have made them, but faster
		writes = writes[:0]
		for j := i; j < min(n, i+100); j++ {
			b := newBuilder()
			e := event("x")
			b.add(&e, 1, 0)
			s, err := newSealer()
			if err != nil {
				t.Fatal(err)
			}
			block := s.seal(b, header{first: gateway.Offset(j + 1), epoch: 1, cumulative: cumulative})
			cumulative += uint64(len(block))
			writes = append(writes, write{blockKey(gateway.Offset(j + 1)), block})
		}
		if err := l.engine.commit(writes); err != nil {
			t.Fatal(err)
		}
	}
	closeLog(t, l)
	l = openLog(t, Options{Dir: dir})
	if s := l.Status(); s.Last != n {
		t.Fatalf("got last %d, want %d", s.Last, n)
	}
	settle(t, l, "up", n-recentBlocks-1)
	waitFor(t, "trim", func() bool { return l.Status().First == n-recentBlocks && blocksOnDisk(t, l) == recentBlocks+1 })
	mustAppend(t, l, event("y"))
	settle(t, l, "up", n+1)
	if got := blocksOnDisk(t, l); got != recentBlocks {
		t.Errorf("got %d blocks at the end, want %d", got, recentBlocks)
	}
}

func TestDropCursor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openLog(t, Options{Dir: dir})
	settle(t, l, "gone", 0)
	appendBlocks(t, l, 5)
	appendBlocks(t, l, recentBlocks)
	settle(t, l, "up", 10)
	if s := l.Status(); s.First != 1 {
		t.Fatalf("got first %d, want 1", s.First)
	}
	if err := l.DropCursor(testContext(t), "gone", "never there"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "trim", func() bool { return l.Status().First == 11 })
	closeLog(t, l)
	l = openLog(t, Options{Dir: dir})
	if at, ok := l.Cursor("gone"); ok {
		t.Errorf("got cursor %d after reopening, want none", at)
	}
}

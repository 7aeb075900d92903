package buffer

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"gateway"
)

// aged makes a log of blocks of one event each, in a new directory, and returns that. The first ages say how old a block is
// at noon, negative for an unsynchronised clock; recentBlocks new ones follow, which nothing trims.
func aged(t *testing.T, noon time.Time, ages ...time.Duration) (dir string) {
	t.Helper()
	dir = t.TempDir()
	l := openLog(t, Options{Dir: dir})
	settle(t, l, "up", 0)
	s, err := newSealer()
	if err != nil {
		t.Fatal(err)
	}
	ages = append(slices.Clone(ages), slices.Repeat([]time.Duration{0}, recentBlocks)...)
	cumulative := uint64(0)
	var writes []write
	for i, age := range ages {
		h := header{first: gateway.Offset(i + 1), epoch: 1, cumulative: cumulative, flags: flagClockSynced}
		if age < 0 {
			h.flags, age = 0, -age
		}
		b := newBuilder()
		e := event("x")
		b.add(&e, noon.Add(-age).UnixMicro(), 0)
		block := s.seal(b, h)
		cumulative += uint64(len(block))
		writes = append(writes, write{blockKey(h.first), block})
	}
	if err := l.engine.commit(writes); err != nil {
		t.Fatal(err)
	}
	closeLog(t, l)
	return dir
}

func TestMaxAge(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	const h = time.Hour
	for _, c := range []struct {
		name  string
		ages  []time.Duration
		first gateway.Offset // kept, with a bound of 24 h
	}{
		{"nothing is old", []time.Duration{23 * h, 22 * h}, 1},
		// The block that decides is kept: its own newest event may be younger.
		{"some are old", []time.Duration{30 * h, 26 * h, 25 * h, 23 * h}, 3},
		{"a clock that was never set does not decide", []time.Duration{-1000 * h, -2000 * h, 23 * h}, 1},
		{"a synchronised block decides for those before it", []time.Duration{-1 * h, -2000 * h, 25 * h, -1000 * h, 23 * h}, 3},
		{"all are old", slices.Repeat([]time.Duration{48 * h}, 100), 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := aged(t, noon, c.ages...)
			var trusted atomic.Bool
			var out syncBuffer
			l := openLog(t, Options{Dir: dir, MaxAge: 24 * h, Logger: slog.New(slog.NewTextHandler(&out, nil)), hooks: hooks{
				now: func() time.Time { return noon }, trusted: trusted.Load,
			}})
			if err := l.lookAtAges(); err != nil {
				t.Fatal(err)
			}
			settle(t, l, "up", 0)
			if s := l.Status(); s.First != 1 || len(s.Lost) != 0 {
				t.Fatalf("got first %d and %v lost while the clock is not synchronised", s.First, s.Lost)
			}
			trusted.Store(true)
			if c.first == 1 {
				if err := l.lookAtAges(); err != nil {
					t.Fatal(err)
				}
				settle(t, l, "up", 0)
			}
			waitFor(t, "the old ones to go", func() bool { return l.Status().Lost[gateway.LostAge] == uint64(c.first-1) })
			s := l.Status()
			if s.First != c.first {
				t.Errorf("got first %d, want %d", s.First, c.first)
			}
			if c.first == 1 {
				return
			}
			if want := uint64(c.first - 1); s.Lost[gateway.LostAge] != want || len(s.Gaps) != 1 || s.Gaps[0].Reason != gateway.LostAge || s.Gaps[0].Count() != want {
				t.Errorf("got %v lost and gaps %v, want %d for their age", s.Lost, s.Gaps, want)
			}
			waitFor(t, "a line", func() bool { return out.count("older than buffer.max_age") == 1 })
		})
	}
}

// TestMaxAgeIsNotDecidedByDamage: a header of which a bit is flipped looks like one of 1970.
func TestMaxAgeIsNotDecidedByDamage(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	dir := aged(t, noon, time.Hour, time.Hour, time.Hour)
	l := openLog(t, Options{Dir: dir})
	keepsInvariants(dir, false)
	var block []byte
	if err := l.engine.get(blockKey(3), func(v []byte) error { block = bytes.Clone(v); return nil }); err != nil {
		t.Fatal(err)
	}
	block[37] ^= 0xff // of the wall clock
	if err := l.engine.commit([]write{{blockKey(3), block}}); err != nil {
		t.Fatal(err)
	}
	closeLog(t, l)
	l = openLog(t, Options{Dir: dir, MaxAge: 24 * time.Hour, hooks: hooks{
		now: func() time.Time { return noon }, trusted: func() bool { return true },
	}})
	for range 2 {
		if err := l.lookAtAges(); err != nil {
			t.Fatal(err)
		}
		settle(t, l, "up", 0)
	}
	if s := l.Status(); s.First != 1 {
		t.Errorf("got first %d: a damaged header emptied the log", s.First)
	}
}

func TestKeepDelivered(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	dir := aged(t, noon, 30*time.Hour, 26*time.Hour, 25*time.Hour, 23*time.Hour, time.Hour)
	var now atomic.Int64
	l := openLog(t, Options{Dir: dir, KeepDelivered: 24 * time.Hour, hooks: hooks{
		now: func() time.Time { return noon.Add(time.Duration(now.Load())) }, trusted: func() bool { return true },
	}})
	waitFor(t, "a look", func() bool { return l.ages.retired.before.Load() == 3 })
	settle(t, l, "up", 0)
	if s := l.Status(); s.First != 1 {
		t.Fatalf("got first %d: what is owed must stay", s.First)
	}
	settle(t, l, "up", 5)
	waitFor(t, "the delivered and old to go", func() bool { return l.Status().Trimmed == 2 })
	if got := readTo(t, l, 0, 5); got[0].Offset != 3 {
		t.Errorf("a replay begins at %d, want 3", got[0].Offset)
	}
	now.Store(int64(2 * time.Hour))
	waitFor(t, "time to pass", func() bool { return l.Status().Trimmed == 3 })
	if s := l.Status(); s.First != 4 || len(s.Gaps) != 0 || len(s.Lost) != 0 || s.Trimmed != 3 {
		t.Errorf("got status %+v, want three trimmed and none lost", s)
	}
}

// TestDeliveredEventsMakeRoomFirst: what is only kept for replay goes without a gap, before anything is refused.
func TestDeliveredEventsMakeRoomFirst(t *testing.T) {
	t.Parallel()
	l := openLog(t, Options{MaxSize: MinMaxSize, KeepDelivered: 1000 * time.Hour})
	settle(t, l, "up", 0)
	f := newFiller(l)
	for range 300 { // 60 MB
		if err := f.append(t); err != nil {
			t.Fatal(err)
		}
		settle(t, l, "up", l.durable())
	}
	s := l.Status()
	if s.First == 1 || len(s.Lost) != 0 || len(s.Gaps) != 0 || s.Trimmed != uint64(s.First-1) {
		t.Errorf("got status %+v, want the oldest delivered events trimmed", s)
	}
	if kept := int64(l.usage.live.Load()); kept < MinMaxSize/6 {
		t.Errorf("only %s are kept for replay", mib(kept))
	}
}

func TestRecentBlocksAreKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openLog(t, Options{Dir: dir})
	for i := range 3 * recentBlocks {
		mustCommit(t, l, gateway.Batch{
			Events: []gateway.Event{event(fmt.Sprint(i + 1))}, Marks: []uint32{uint32(i + 1)},
			Cursors: []gateway.CursorMove{{Name: "up", Offset: gateway.Offset(i + 1)}},
		})
	}
	for range 2 {
		settle(t, l, "up", 3*recentBlocks)
		if s := l.Status(); s.First != 2*recentBlocks+1 {
			t.Errorf("got first %d, want %d: the newest %d blocks are kept", s.First, 2*recentBlocks+1, recentBlocks)
		}
		next := uint32(2*recentBlocks + 1)
		err := l.Recent(func(e *gateway.Entry, mark uint32) error {
			if mark != next || e.Offset != gateway.Offset(next) {
				t.Errorf("got offset %d with mark %d, want %d", e.Offset, mark, next)
			}
			next++
			return nil
		})
		if err != nil || next != 3*recentBlocks+1 {
			t.Errorf("%v, recent ended before %d", err, next)
		}
		closeLog(t, l)
		l = openLog(t, Options{Dir: dir})
	}
}

// TestCoverBlocks: the prefixes cover what is dead, nothing else, and most of it.
func TestCoverBlocks(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]gateway.Offset{{1, 2}, {1, 10}, {1, 300}, {200, 1000}, {255, 65_537}, {1, 1 << 20}, {70_000, 1 << 33}, {1 << 40, 1<<40 + 12_345}, {5, 5}, {9, 3}} {
		from, to := c[0], c[1]
		prefixes, upTo := coverBlocks(from, to)
		if from >= to {
			if len(prefixes) != 0 {
				t.Errorf("%d to %d: got prefixes", from, to)
			}
			continue
		}
		if upTo > to || upTo-from < (to-from)-(to-from)/8 || len(prefixes) > 1024 {
			t.Errorf("%d to %d: got up to %d in %d prefixes", from, to, upTo, len(prefixes))
		}
		covered := func(at gateway.Offset) bool {
			return slices.ContainsFunc(prefixes, func(p []byte) bool { return bytes.HasPrefix(blockKey(at), p) })
		}
		step := max((to-from)/1000, 1)
		for at := from; at < upTo; at += step {
			if !covered(at) {
				t.Fatalf("%d to %d: %d is not covered", from, to, at)
			}
		}
		for at := upTo; at < upTo+1000; at++ {
			if covered(at) {
				t.Fatalf("%d to %d: %d is covered", from, to, at)
			}
		}
		if covered(to) || covered(upTo+1<<40) {
			t.Fatalf("%d to %d: too much is covered", from, to)
		}
	}
}

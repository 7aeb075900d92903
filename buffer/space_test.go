package buffer

import (
	"errors"
	"testing"
	"time"

	"gateway"
)

// emptyBytes is what a log may take that has had much and is owed nothing: the engine's logs, the ballast, the newest blocks, deletes that
// are not merged yet, and dead blocks that are not worth a drop yet.
func emptyBytes(l *Log) int64 {
	return engineRoom + l.usage.ballast.size + recentBlocks*210<<10 + youngBytes + l.usage.dropEvery()
}

// TestSpaceIsGivenBack fills more than a hundred megabytes and delivers them: without a restart the directory is soon as small as that
// of an empty log. The same where the oldest are dropped meanwhile, and for a log that was closed in between.
func TestSpaceIsGivenBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		o        Options
		batches  int   // of 200 kB
		atLeast  int64 // on disk when all is appended
		reopened bool
	}{
		{name: "delivered", o: Options{MaxSize: 256 << 20}, batches: 550, atLeast: 100 << 20},
		{name: "drop_oldest", o: Options{MaxSize: 128 << 20, DropOldest: true}, batches: 450, atLeast: 60 << 20},
		{name: "reopened", o: Options{MaxSize: 128 << 20}, batches: 350, atLeast: 60 << 20, reopened: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.o.Dir = t.TempDir()
			l := openLog(t, c.o)
			settle(t, l, "up", 0)
			fillMuch(t, l, c.batches)
			if c.reopened {
				closeLog(t, l)
				l = openLog(t, c.o)
			}
			before := folderOnDisk(t, c.o.Dir)
			if before < c.atLeast {
				t.Fatalf("only %s are on disk, want %s", mib(before), mib(c.atLeast))
			}
			start := time.Now()
			settle(t, l, "up", l.durable())
			few := emptyBytes(l)
			waitFor(t, "space to be given back", func() bool { return folderOnDisk(t, c.o.Dir) < few && l.Status().Bytes < few })
			t.Logf("%s became %s in %s, %s were expected at most", mib(before), mib(folderOnDisk(t, c.o.Dir)), time.Since(start), mib(few))
			last := l.durable()
			if got := mustAppend(t, l, event("after")); got != last+1 {
				t.Errorf("got offset %d, want %d", got, last+1)
			}
			closeLog(t, l)
			if left := folderOnDisk(t, c.o.Dir); left > few {
				t.Errorf("%s are left when it is closed, want %s at most", mib(left), mib(few))
			}
		})
	}
}

// fillMuch appends batches of 200 kB.
func fillMuch(t *testing.T, l *Log, batches int) {
	t.Helper()
	f := newFiller(l)
	for range batches {
		for errors.Is(f.append(t), gateway.ErrFull) {
			waitFor(t, "room", func() bool { return !l.Status().Full })
		}
	}
}

// folderOnDisk is what the data directory takes.
func folderOnDisk(t *testing.T, dir string) int64 {
	t.Helper()
	own, err := diskBytes(dir)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := diskBytes(dir + "/" + engineName)
	if err != nil {
		t.Fatal(err)
	}
	return own + engine
}

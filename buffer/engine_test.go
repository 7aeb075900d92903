package buffer

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"gateway"
)

// testEngine opens an engine in dir.
func testEngine(t testing.TB, dir string) *engine {
	t.Helper()
	e, err := openEngine(dir, engineGeometry(intSize), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.close(closePatience); err != nil {
			t.Errorf("close engine: %v", err)
		}
	})
	return e
}

// testValue is a value that can be told from every other.
func testValue(n, size int) []byte {
	v := make([]byte, size)
	rng := rand.New(rand.NewPCG(uint64(n), 7))
	for i := 0; i+8 <= len(v); i += 8 {
		binary.LittleEndian.PutUint64(v[i:], rng.Uint64())
	}
	return v
}

// TestEngineKeepsValues is the load with which Badger corrupts tables on 32-bit builds unless its sizes keep to a bound:
// with its tables of 2 MiB below a memtable of 8 MiB, 6,000 values of 20 kB crash on close, or are read wrong. The sizes at which a builder's
// unit is used worst are among them. Run it as GOARCH=386 CGO_ENABLED=0 go test.
func TestEngineKeepsValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ size, n int }{
		{20_000, 4000}, {8_690, 4000}, {100, 20_000}, {engineBlock/2 + 100, 250}, {groupBound, 120},
	} {
		t.Run(fmt.Sprint(c.size), func(t *testing.T) {
			t.Parallel()
			if raceEnabled {
				c.n /= 8 // slow, and about memory that the race detector does not see
			}
			dir := t.TempDir()
			e := testEngine(t, dir)
			for i := 0; i < c.n; {
				var writes []write
				for bytes := 0; i < c.n && len(writes) < maxDeletes && bytes+c.size <= groupBound; i++ {
					writes = append(writes, write{blockKey(gateway.Offset(i + 1)), testValue(i, c.size)})
					bytes += c.size + keyOverhead
				}
				writes = append(writes, write{[]byte("c/up"), []byte{1}})
				if err := e.commit(writes); err != nil {
					t.Fatal(err)
				}
			}
			checkValues(t, e, c.n, c.size)
			if err := e.reclaim(); err != nil { // merges everything through builders
				t.Fatal(err)
			}
			checkValues(t, e, c.n, c.size)
			if err := e.close(closePatience); err != nil {
				t.Fatal(err)
			}
			checkValues(t, testEngine(t, dir), c.n, c.size)
		})
	}
}

func checkValues(t *testing.T, e *engine, n, size int) {
	t.Helper()
	for i := range n {
		err := e.get(blockKey(gateway.Offset(i+1)), func(v []byte) error {
			if !bytes.Equal(v, testValue(i, size)) {
				return fmt.Errorf("value %d is not what was written", i)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestGeometry(t *testing.T) {
	t.Parallel()
	for _, bits := range []int{32, 64} {
		if err := checkGeometry(engineGeometry(bits), bits); err != nil {
			t.Errorf("%d bits: got %v, want no error", bits, err)
		}
	}
	small := engineGeometry(32)
	small.table = small.memTable*2 - 1
	if err := checkGeometry(small, 32); err == nil || !strings.Contains(err.Error(), "twice the memtable") {
		t.Errorf("table below twice the memtable on 32 bits: got %v, want a refusal", err)
	}
	if err := checkGeometry(engineGeometry(64), 32); err == nil {
		t.Error("the sizes for 64 bits on 32 bits: got no error, want a refusal")
	}
	units := engineGeometry(32)
	units.block = 4096
	if err := checkGeometry(units, 32); err == nil {
		t.Error("units smaller than a block: got no error, want a refusal")
	}
	// 8 MiB of table fill a first buffer of 16 MiB without room to spare for units.
	full := engineGeometry(32)
	full.table = 8 << 20
	if err := checkGeometry(full, 32); err == nil || !strings.Contains(err.Error(), "first buffer") {
		t.Errorf("a builder that outgrows its buffer: got %v, want a refusal", err)
	}
}

// TestEngineMergesNewTables opens a store that was left with more new tables than the engine may hold.
func TestEngineMergesNewTables(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	g := engineGeometry(intSize)
	n := 0
	for range levelZeroStall + 3 {
		o := engineOptions(dir, g, log)
		o.CompactL0OnClose, o.NumCompactors, o.NumLevelZeroTablesStall = false, 0, 100
		db, err := badger.OpenManaged(o)
		if err != nil {
			t.Fatal(err)
		}
		e := &engine{dir: dir, valueDir: dir, db: db, maxValue: 1 << 20}
		e.stamp.Store(db.MaxVersion())
		n++
		if err := e.commit([]write{{blockKey(gateway.Offset(n)), testValue(n-1, 1000)}}); err != nil {
			t.Fatal(err)
		}
		if err := e.close(closePatience); err != nil {
			t.Fatal(err)
		}
	}
	e := testEngine(t, dir)
	if got := newTables(e.db); got > levelZeroStall {
		t.Errorf("got %d new tables after opening, want %d at most", got, levelZeroStall)
	}
	checkValues(t, e, n, 1000)
}

// TestValueLogIsNotNeeded: the engine's value log may vanish at any time that we do not run, and while we do.
func TestValueLogIsNotNeeded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range 3 {
		e := testEngine(t, dir)
		if err := e.commit([]write{{blockKey(gateway.Offset(i + 1)), testValue(i, groupBound)}}); err != nil {
			t.Fatal(err)
		}
		if e.valueDir == dir {
			t.Skip("there is no " + memoryDir)
		}
		if i == 1 {
			if err := os.RemoveAll(e.valueDir); err != nil {
				t.Fatal(err)
			}
		}
		checkValues(t, e, i+1, groupBound)
		if err := e.close(closePatience); err != nil {
			t.Errorf("close: %v", err)
		}
		if _, err := os.Stat(e.valueDir); !os.IsNotExist(err) {
			t.Errorf("got %v for %s after close, want nothing there", err, e.valueDir)
		}
	}
	e := testEngine(t, dir)
	if err := e.commit([]write{{blockKey(9), make([]byte, e.maxValue+1)}}); err == nil {
		t.Error("got no error for a value that would leave the tree")
	}
}

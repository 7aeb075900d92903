package buffer

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDamageInDeadBytes: where nothing that counts is damaged, nothing is lost and nothing is refused.
func TestDamageInDeadBytes(t *testing.T) {
	t.Parallel()
	small, smallTruth := shapeOf(t, "small")
	tables, tablesTruth := shapeOf(t, "tables")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for _, c := range []struct {
		name, from string
		truth      damageTruth
		damage     func(t *testing.T, rng *rand.Rand, dir string, truth damageTruth)
	}{
		{"behind the end of a write-ahead log", small, smallTruth, hurtUnused},
		{"an old value of a key", small, smallTruth, hurtOldRecord},
		{"events that everybody is past", tables, tablesTruth, hurtTrimmed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 0))
			for range 3 {
				dir := filepath.Join(t.TempDir(), "log")
				copyTree(t, c.from, dir)
				c.damage(t, rng, dir, c.truth)
				d := &damaged{t: t, dir: dir, truth: c.truth, words: &strings.Builder{}}
				d.run()
				d.close()
				if d.out.Outcome != servedAll || d.out.Refused || len(d.told.Gone) > 0 {
					t.Errorf("got %q, refused %t, gone %v; want everything", d.out.Outcome, d.out.Refused, d.told.Gone)
				}
				for _, f := range d.out.Faults {
					t.Error(f)
				}
			}
		})
	}
}

// firstWAL is the write-ahead log that has something.
func firstWAL(t *testing.T, dir string) (name string, used int64) {
	t.Helper()
	name = walPath(filepath.Join(dir, engineName), 1)
	w, err := scanWAL(name)
	if err != nil {
		t.Fatal(err)
	}
	return name, w.end
}

func hurtUnused(t *testing.T, rng *rand.Rand, dir string, _ damageTruth) {
	t.Helper()
	name, used := firstWAL(t, dir)
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	flipInFile(t, name, used+rng.Int64N(info.Size()-used))
}

// hurtOldRecord flips a byte in the value of a record of which there is a newer one.
func hurtOldRecord(t *testing.T, _ *rand.Rand, dir string, _ damageTruth) {
	t.Helper()
	name, _ := firstWAL(t, dir)
	var places []int64
	_, err := carveFile(name, 0, carver{record: func(r record, at int64) error {
		if bytes.Equal(r.key, []byte(prefixCursor+"slow")) {
			places = append(places, at+int64(r.size)-1)
		}
		return nil
	}})
	if err != nil || len(places) < 2 {
		t.Fatalf("found %d records, %v; want several", len(places), err)
	}
	flipInFile(t, name, places[0])
}

// hurtTrimmed flips a bit in a block that everybody is past, in a table.
func hurtTrimmed(t *testing.T, _ *rand.Rand, dir string, truth damageTruth) {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(dir, engineName, "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	hurt := 0
	for _, name := range tables {
		var places []int64
		_, err := carveFile(name, 0, carver{block: func(h header, block []byte, at int64) error {
			if h.last() < truth.First {
				places = append(places, at+int64(len(block))/2)
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range places {
			flipInFile(t, name, at)
			hurt++
		}
	}
	if hurt == 0 {
		t.Skip("the engine has merged them away")
	}
}

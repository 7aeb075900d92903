package buffer

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// harm is one damage: what is done to which file.
type harm struct {
	File string // relative to the data directory
	Kind string // of the file
	What string // is done
	Note string
}

func (h harm) String() string { return fmt.Sprintf("%s %s (%s)", h.What, h.File, h.Note) }

// harms are what is done to a file. Each returns where.
var harms = []struct {
	name string
	do   func(rng *rand.Rand, b []byte) ([]byte, string)
}{
	{"flip a bit", func(rng *rand.Rand, b []byte) ([]byte, string) {
		at := rng.IntN(len(b))
		b[at] ^= 1 << rng.IntN(8)
		return b, fmt.Sprintf("at %d of %d", at, len(b))
	}},
	{"flip bytes", func(rng *rand.Rand, b []byte) ([]byte, string) {
		at, n := rng.IntN(len(b)), 2+rng.IntN(62)
		for i := at; i < min(at+n, len(b)); i++ {
			b[i] ^= byte(1 + rng.IntN(255))
		}
		return b, fmt.Sprintf("%d at %d of %d", n, at, len(b))
	}},
	{"zero a page", func(rng *rand.Rand, b []byte) ([]byte, string) {
		at := rng.IntN(len(b)) &^ 4095
		clear(b[at:min(at+4096, len(b))])
		return b, fmt.Sprintf("at %d of %d", at, len(b))
	}},
	{"tear", func(rng *rand.Rand, b []byte) ([]byte, string) {
		at := rng.IntN(len(b))
		if rng.IntN(2) == 0 {
			clear(b[at:])
			return b, fmt.Sprintf("zeros from %d of %d", at, len(b))
		}
		for i := at; i < len(b); i++ {
			b[i] = byte(rng.Uint32())
		}
		return b, fmt.Sprintf("garbage from %d of %d", at, len(b))
	}},
	{"truncate", func(rng *rand.Rand, b []byte) ([]byte, string) {
		at := rng.IntN(len(b))
		return b[:at], fmt.Sprintf("to %d of %d", at, len(b))
	}},
}

const (
	harmDelete = "delete"
	harmSwap   = "swap"
)

// fileKind is what a file of the data directory is for.
func fileKind(name string) string {
	base := filepath.Base(name)
	switch {
	case strings.HasSuffix(base, walSuffix), strings.HasSuffix(base, ".sst"), strings.HasSuffix(base, ".vlog"):
		return filepath.Ext(base)
	case base == badger.ManifestFilename, base == "KEYREGISTRY", base == "DISCARD":
		return base
	case base == lockName && filepath.Dir(name) == engineName:
		return "badger/LOCK"
	}
	return base
}

// filesByKind are the files below dir, without those of the quarantine.
func filesByKind(t *testing.T, dir string) map[string][]string {
	t.Helper()
	files := map[string][]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err == nil && !strings.HasPrefix(name, quarantineName) {
			files[fileKind(name)] = append(files[fileKind(name)], name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// doHarm damages one file of dir. Tables and write-ahead logs have more turns than the rest.
func doHarm(t *testing.T, rng *rand.Rand, dir string) harm {
	t.Helper()
	files := filesByKind(t, dir)
	var kinds []string
	for kind := range files {
		kinds = append(kinds, kind)
		if kind == ".sst" || kind == walSuffix {
			kinds = append(kinds, kind, kind)
		}
	}
	slices.Sort(kinds)
	kind := kinds[rng.IntN(len(kinds))]
	name := files[kind][rng.IntN(len(files[kind]))]
	h := harm{File: name, Kind: kind}
	path := filepath.Join(dir, name)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	what := rng.IntN(len(harms) + 2)
	switch {
	case what == len(harms)+1:
		return swap(t, rng, dir, files, h)
	case what == len(harms) || len(b) == 0:
		h.What = harmDelete
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		return h
	}
	h.What = harms[what].name
	used := usedPart(rng, name, b)
	rest := slices.Clone(b[used:])
	b, h.Note = harms[what].do(rng, b[:used])
	if len(b) == used {
		b = append(b, rest...)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return h
}

// usedPart is how much of a file has something in it, nearly always: most of a write-ahead log is zeros still, where damage is no damage.
func usedPart(rng *rand.Rand, name string, b []byte) int {
	if !strings.HasSuffix(name, walSuffix) || rng.IntN(8) == 0 {
		return len(b)
	}
	return max(1, len(bytes.TrimRight(b, "\x00")))
}

// swap exchanges the contents of two files.
func swap(t *testing.T, rng *rand.Rand, dir string, files map[string][]string, h harm) harm {
	t.Helper()
	var others []string
	for _, names := range files {
		for _, name := range names {
			if name != h.File {
				others = append(others, name)
			}
		}
	}
	slices.Sort(others)
	other := others[rng.IntN(len(others))]
	h.What, h.Note = harmSwap, "with "+other
	temp := filepath.Join(dir, "temp")
	for _, r := range [][2]string{{filepath.Join(dir, h.File), temp}, {filepath.Join(dir, other), filepath.Join(dir, h.File)}, {temp, filepath.Join(dir, other)}} {
		if err := os.Rename(r[0], r[1]); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

package buffer

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"pgregory.net/rapid"

	"gateway"
)

// crash takes the files as they are, in the middle of some commits, and goes on with them: everything acknowledged by then must be there, and of the
// rest the first commits, as wholes.
func (w *modelled) crash(t *rapid.T) {
	var acked atomic.Int64
	seed := rapid.Uint64().Draw(t, "seed")
	models := []*model{w.m.clone()}
	var done []chan error
	for i := range rapid.IntRange(0, 8).Draw(t, "in flight") {
		b := modelEvents(seed+uint64(i), 1+i, 200)
		b.Cursors = []gateway.CursorMove{{Name: modelCursors[i%2], Offset: w.m.last() + 1}}
		b.KV = []gateway.KeyValue{{Key: "in flight", Value: []byte{byte(i)}}, {Key: "now", Value: []byte{}}}
		outcome := make(chan error, 1)
		err := w.l.Submit(w.context(t), b, func(_ gateway.Offset, err error) {
			if err == nil {
				acked.Add(1)
			}
			outcome <- err
		})
		if errors.Is(err, gateway.ErrFull) && w.small {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		done = append(done, outcome)
		w.apply(t, &b)
		models = append(models, w.m.clone())
	}
	image, least := w.image(t, &acked)
	for _, outcome := range done {
		if err := <-outcome; err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.l.Close(), os.RemoveAll(w.dir)); err != nil {
		t.Fatal(err)
	}
	w.dir = image
	if rapid.Bool().Draw(t, "torn") {
		w.tear(t, seed)
	}
	if rapid.Bool().Draw(t, "look") {
		w.look(t, models[least:])
	}
	w.openAgain(t, models[least:])
}

// image copies the files, and says how many of the commits in flight were acknowledged before. Where the engine merges tables meanwhile
// it begins anew: no crash leaves the one half of that without the other.
func (w *modelled) image(t *rapid.T, acked *atomic.Int64) (dir string, least int64) {
	for range 1000 {
		dir = w.temp()
		least = acked.Load()
		before := w.tables(t)
		err := os.CopyFS(dir, os.DirFS(w.dir))
		if err == nil && slices.EqualFunc(before, w.tables(t), bytes.Equal) {
			return dir, least
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	t.Fatal("the engine never rests")
	return "", 0
}

// tear leaves a piece of a write that was cut off behind the newest whole one: the beginning of another transaction.
func (w *modelled) tear(t *rapid.T, seed uint64) {
	names, err := filepath.Glob(filepath.Join(w.dir, engineName, "*"+walSuffix))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	for _, name := range slices.Backward(names) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		s := parseWAL(b)
		if s.end <= walHeader {
			continue // made in advance
		}
		size := 0
		for more := true; more; {
			e, ok := nextWALEntry(b[walHeader+size:])
			if !ok {
				t.Fatal("the first transaction of ", name, " cannot be read")
			}
			size += e.size
			more = e.meta&walInTxn != 0
		}
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteAt(b[walHeader:walHeader+1+int(seed%uint64(size-1))], s.end)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		return
	}
}

// tables is what the engine says of its tables, and their names.
func (w *modelled) tables(t *rapid.T) [][]byte {
	manifest, err := os.ReadFile(filepath.Join(w.dir, engineName, "MANIFEST"))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(w.dir, engineName))
	if err != nil {
		t.Fatal(err)
	}
	all := [][]byte{manifest}
	for _, e := range entries {
		all = append(all, []byte(e.Name()))
	}
	return all
}

// look opens what the crash left to read it only: it is a whole prefix, and its files stay as they are.
func (w *modelled) look(t *rapid.T, models []*model) {
	l, err := Open(Options{Dir: w.dir, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Append(w.context(t), event("x")); !errors.Is(err, gateway.ErrClosed) {
		t.Fatalf("got %v from a log that is only read", err)
	}
	if survivor(models, l.durable()) == nil {
		t.Fatalf("a picture of the log ends at %d", l.durable())
	}
	m, s := survivor(models, l.durable()), l.Status()
	reading := &modelled{l: l, m: m}
	if fault := reading.read(t, s, 0, 1000); fault != "" {
		t.Fatalf("a picture of the log: %s", fault)
	}
}

// survivor is the model of the log that ends there.
func survivor(models []*model, last gateway.Offset) *model {
	for _, m := range models {
		if m.last() == last {
			return m
		}
	}
	return nil
}

func (w *modelled) openAgain(t *rapid.T, models []*model) {
	epoch := w.l.epoch
	w.open(t)
	m := survivor(models, w.l.durable())
	if m == nil {
		t.Fatalf("after a crash the log ends at %d, want between %d and %d", w.l.durable(), models[0].last(), models[len(models)-1].last())
	}
	w.tally["crashes"]++
	if m != models[len(models)-1] {
		w.tally["crashes that lost what was not acknowledged"]++
	}
	if w.l.Report().TornTail > 0 {
		w.tally["torn tails"]++
	}
	if w.l.epoch <= epoch {
		t.Fatalf("got epoch %d after a crash, it was %d before", w.l.epoch, epoch)
	}
	if r := w.l.Report(); !r.Sound() || len(r.Gone) > 0 || r.Quarantine != "" {
		t.Fatalf("a crash is no damage: got %+v", r)
	}
	w.adopt(t, m, models)
	clear(w.lazy)
	w.m = m
}

// adopt checks the cursors and keys of a log that a crash left, and has the model take those that may be as they were before or after what
// nobody was told of. Where a transaction was torn in its middle, and something of it was put back, each of them may be either.
func (w *modelled) adopt(t *rapid.T, m *model, models []*model) {
	if w.l.Report().TornTail == 0 {
		models = []*model{m}
	}
	for _, name := range modelCursors {
		at, ok := w.l.Cursor(name)
		if !ok {
			at = math.MaxUint64
		}
		fits := slices.Contains(w.lazy[name], at)
		for _, other := range models {
			want, wanted := other.cursors[name]
			fits = fits || wanted && at == want || !wanted && !ok
		}
		if !fits {
			t.Fatalf("after a crash cursor %s is at %d, %t, want %d", name, at, ok, m.cursors[name])
		}
		delete(m.cursors, name)
		if ok {
			m.cursors[name] = at
		}
		w.seen.moved(name, at)
	}
	for _, key := range []string{"in flight", "now"} {
		value, err := w.l.Get(key)
		fits := false
		for _, other := range models {
			want, wanted := other.keys[key]
			fits = fits || wanted == (err == nil) && want == string(value)
		}
		if !fits {
			t.Fatalf("after a crash key %s has %q, %v, want %q", key, value, err, m.keys[key])
		}
		delete(m.keys, key)
		if err == nil {
			m.keys[key] = string(value)
		}
	}
}

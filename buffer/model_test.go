package buffer

import (
	"fmt"
	"maps"
	"math"
	"os"
	"testing"

	"pgregory.net/rapid"

	"gateway"
)

// model is what a log must look like, without any storage.
type model struct {
	data    []string // of offset i+1
	cursors map[string]gateway.Offset
	keys    map[string]string
}

// passed is the offset that every cursor has passed.
func (m *model) passed() gateway.Offset {
	if len(m.cursors) == 0 {
		return 0
	}
	least := gateway.Offset(math.MaxUint64)
	for _, at := range m.cursors {
		least = min(least, at)
	}
	return least
}

// TestLogIsItsModel does random things to a log and to its model, and compares them.
func TestLogIsItsModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		w := &modelled{dir: dir, m: model{cursors: map[string]gateway.Offset{}, keys: map[string]string{}}}
		w.open(rt)
		defer func() { _ = w.l.Close() }()
		rt.Repeat(map[string]func(*rapid.T){
			"append": w.append,
			"move":   w.move,
			"drop":   w.drop,
			"key":    w.key,
			"reopen": w.reopen,
			"":       w.check,
		})
	})
}

// modelled is a log beside its model.
type modelled struct {
	dir   string
	l     *Log
	m     model
	first gateway.Offset // seen last
}

func (w *modelled) open(t *rapid.T) {
	l, err := Open(Options{Dir: w.dir})
	if err != nil {
		t.Fatal(err)
	}
	w.l = l
}

func (w *modelled) commit(t *rapid.T, b gateway.Batch) {
	// A key makes it urgent: the rest would take seconds.
	b.KV = append(b.KV, gateway.KeyValue{Key: "now", Value: []byte{}})
	last, err := w.l.Commit(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Events) > 0 && last != gateway.Offset(len(w.m.data)) {
		t.Fatalf("got last %d, want %d", last, len(w.m.data))
	}
}

func (w *modelled) append(t *rapid.T) {
	var b gateway.Batch
	for range rapid.IntRange(1, 20).Draw(t, "events") {
		data := fmt.Sprintf("%d %s", len(w.m.data)+1, rapid.StringN(0, 40, -1).Draw(t, "data"))
		w.m.data = append(w.m.data, data)
		b.Events = append(b.Events, gateway.Event{Source: "s", Type: "t", Subject: rapid.SampledFrom([]string{"", "a", "b/c"}).Draw(t, "subject"), Data: []byte(data)})
	}
	w.commit(t, b)
}

func (w *modelled) move(t *rapid.T) {
	name := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "cursor")
	at := gateway.Offset(rapid.IntRange(0, len(w.m.data)).Draw(t, "at"))
	w.m.cursors[name] = at
	w.commit(t, gateway.Batch{Cursors: []gateway.CursorMove{{Name: name, Offset: at}}})
}

func (w *modelled) drop(t *rapid.T) {
	name := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "cursor")
	delete(w.m.cursors, name)
	if err := w.l.DropCursor(t.Context(), name); err != nil {
		t.Fatal(err)
	}
}

func (w *modelled) key(t *rapid.T) {
	key := rapid.SampledFrom([]string{"x", "y", "y/z"}).Draw(t, "key")
	if rapid.Bool().Draw(t, "delete") {
		delete(w.m.keys, key)
		w.commit(t, gateway.Batch{KV: []gateway.KeyValue{{Key: key}}})
		return
	}
	w.m.keys[key] = rapid.String().Draw(t, "value")
	w.commit(t, gateway.Batch{KV: []gateway.KeyValue{{Key: key, Value: []byte(w.m.keys[key])}}})
}

func (w *modelled) reopen(t *rapid.T) {
	if err := w.l.Close(); err != nil {
		t.Fatal(err)
	}
	w.open(t)
}

// check compares all that can be seen.
func (w *modelled) check(t *rapid.T) {
	s := w.l.Status()
	if int(s.Last) != len(w.m.data) || s.First < w.first || s.First > max(w.first, w.m.passed()+1) {
		t.Fatalf("got %d to %d, want at most %d as first (it was %d) and %d as last", s.First, s.Last, w.m.passed()+1, w.first, len(w.m.data))
	}
	w.first = s.First
	if !maps.Equal(s.Cursors, w.m.cursors) {
		t.Fatalf("got cursors %v, want %v", s.Cursors, w.m.cursors)
	}
	for _, key := range []string{"x", "y", "y/z"} {
		value, err := w.l.Get(key)
		want, ok := w.m.keys[key]
		if (err == nil) != ok || string(value) != want {
			t.Fatalf("key %s: got %q, %v, want %q, %v", key, value, err, want, ok)
		}
	}
	if s.First > s.Last {
		return
	}
	r := w.l.NewReader(0)
	defer r.Close()
	for at := s.First; at <= s.Last; {
		entries, err := r.Next(t.Context(), 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Offset < s.First && at == s.First {
				continue // the tail still has what was trimmed
			}
			if e.Offset != at || string(e.Event.Data) != w.m.data[at-1] {
				t.Fatalf("got offset %d with %q, want %d with %q", e.Offset, e.Event.Data, at, w.m.data[at-1])
			}
			at++
		}
	}
}

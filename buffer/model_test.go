package buffer

import (
	"context"
	"errors"
	"maps"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gateway"
)

// model is what a log must look like, without any storage.
type model struct {
	entries []gateway.Entry // of offset i+1; those that were trimmed too
	marks   []uint32
	batches []gateway.Offset // the first offset of each
	cursors map[string]gateway.Offset
	keys    map[string]string
}

func (m *model) last() gateway.Offset { return gateway.Offset(len(m.entries)) }

func (m *model) clone() *model {
	c := *m
	c.entries, c.marks, c.batches = c.entries[:len(c.entries):len(c.entries)], c.marks[:len(c.marks):len(c.marks)], c.batches[:len(c.batches):len(c.batches)]
	c.cursors, c.keys = maps.Clone(m.cursors), maps.Clone(m.keys)
	return &c
}

// apply does what the log will do with a batch that comes at the given time.
func (m *model) apply(b *gateway.Batch, logID string, epoch uint32, at time.Time) {
	if len(b.Events) > 0 {
		m.batches = append(m.batches, m.last()+1)
	}
	for i, e := range b.Events {
		offset := m.last() + 1
		if e.ID == "" {
			e.ID = gateway.EventID(logID, epoch, offset)
		}
		if e.Time.IsZero() {
			e.Time = at
		}
		mark := uint32(0)
		if i < len(b.Marks) {
			mark = b.Marks[i]
		}
		m.entries = append(m.entries, gateway.Entry{Offset: offset, Received: at, Event: e})
		m.marks = append(m.marks, mark)
	}
	for _, c := range b.Cursors {
		m.cursors[c.Name] = c.Offset
	}
	for _, kv := range b.KV {
		if kv.Value == nil {
			delete(m.keys, kv.Key)
			continue
		}
		m.keys[kv.Key] = string(kv.Value)
	}
}

// modelled is a log beside its model.
type modelled struct {
	dir   string
	temp  func() string // makes a new folder
	small bool          // its disk has room for a few MiB
	o     Options
	l     *Log
	m     *model
	lazy  map[string][]gateway.Offset // where cursors were before moves that may not be durable yet; MaxUint64: there was none
	now   *atomic.Int64               // µs since the model began
	ids   map[string]gateway.Offset   // that the log has given
	seen  modelSeen
	tally map[string]int // of all runs: to see that the interesting things happen
}

// modelBounds are what the log may do by itself.
var modelBounds = map[string]struct {
	small bool
	o     Options
}{
	"none":           {},
	"max_age":        {o: Options{MaxAge: 24 * time.Hour}},
	"keep_delivered": {o: Options{KeepDelivered: 24 * time.Hour}},
	"reject":         {small: true},
	"drop_oldest":    {small: true, o: Options{DropOldest: true}},
}

// TestLogIsItsModel does random things to a log and to its model, and compares all that can be seen after each.
func TestLogIsItsModel(t *testing.T) {
	t.Parallel()
	for name := range modelBounds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tally := map[string]int{}
			rapid.Check(t, func(rt *rapid.T) {
				w := newModelled(rt, name, func() string {
					dir, err := os.MkdirTemp(t.TempDir(), "")
					if err != nil {
						rt.Fatal(err)
					}
					return dir
				})
				w.tally = tally
				defer func() { _ = w.l.Close() }()
				rt.Repeat(w.actions())
				w.closeAndCheck(rt)
			})
			t.Logf("%v", tally)
		})
	}
}

func (w *modelled) actions() map[string]func(*rapid.T) {
	all := map[string]func(*rapid.T){
		"append": w.append, "many": w.many,
		"move": w.move, "lazily": w.moveLazily, "settle": w.settleAll, "forget": w.forget,
		"key": w.key, "bury": w.bury, "reopen": w.reopen, "crash": w.crash,
		"": w.check,
	}
	if w.small {
		all["flood"], all["flood more"] = w.flood, w.flood
	}
	if w.o.MaxAge+w.o.KeepDelivered > 0 {
		all["time"], all["many more"] = w.time, w.many
	}
	return all
}

// modelEpoch is when the clock of the models begins.
var modelEpoch = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// newModelled begins with a consumer that has got nothing yet.
func newModelled(t *rapid.T, bounds string, temp func() string) *modelled {
	w := &modelled{
		dir: temp(), temp: temp, now: &atomic.Int64{}, ids: map[string]gateway.Offset{}, lazy: map[string][]gateway.Offset{},
		m: &model{cursors: map[string]gateway.Offset{}, keys: map[string]string{}}, tally: map[string]int{},
	}
	w.small, w.o = modelBounds[bounds].small, modelBounds[bounds].o
	w.o.MaxSize = MinMaxSize
	w.open(t)
	w.commit(t, gateway.Batch{Cursors: []gateway.CursorMove{{Name: modelCursors[0]}}})
	return w
}

// modelRoom is how much of its disk a log on a small one may have.
const modelRoom = 16 << 20

func (w *modelled) open(t *rapid.T) {
	o := w.o
	o.Dir = w.dir
	since := func() time.Duration { return time.Duration(w.now.Load()) * time.Microsecond }
	o.hooks.now = func() time.Time { return modelEpoch.Add(since()) }
	o.hooks.trusted = func() bool { return true }
	o.hooks.clock = kernel{wall: o.hooks.now, mono: func() time.Duration { return time.Hour + since() }, synced: func() bool { return true }, boot: [16]byte{1}}
	if w.small {
		o.hooks.free = func(dir string) (int64, error) {
			used, err := diskBytes(dir + "/" + engineName)
			if errors.Is(err, os.ErrNotExist) {
				used, err = 0, nil
			}
			return DefaultReserve + workRoom + ballastSize(MinMaxSize) + modelRoom - used, err
		}
	}
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	w.l = l
	w.seen.opened(w)
}

func (w *modelled) context(t *rapid.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	return ctx
}

// commit makes the batch durable. It may be refused where the disk is small.
func (w *modelled) commit(t *rapid.T, b gateway.Batch) {
	// A key makes it urgent: the rest would take seconds.
	b.KV = append(b.KV, gateway.KeyValue{Key: "now", Value: []byte{}})
	last, err := w.l.Commit(w.context(t), b)
	if errors.Is(err, gateway.ErrFull) && w.small && len(b.Events) > 0 {
		w.tally["refused"]++
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	w.apply(t, &b)
	for name := range w.lazy { // in the same group, or before
		delete(w.lazy, name)
	}
	if len(b.Events) > 0 && last != w.m.last() {
		t.Fatalf("got last %d, want %d", last, w.m.last())
	}
}

// apply tells the model of a batch, and remembers what the log could do between two looks.
func (w *modelled) apply(t *rapid.T, b *gateway.Batch) {
	from := len(w.m.entries)
	w.m.apply(b, w.l.logID, w.l.epoch, w.time0())
	for i, e := range w.m.entries[from:] {
		if b.Events[i].ID != "" {
			continue
		}
		if at, ok := w.ids[e.Event.ID]; ok {
			t.Fatalf("the ID %s of offset %d was that of offset %d", e.Event.ID, e.Offset, at)
		}
		w.ids[e.Event.ID] = e.Offset
	}
	for _, c := range b.Cursors {
		w.seen.moved(c.Name, c.Offset)
	}
	w.seen.appended += uint64(len(b.Events))
	for _, e := range b.Events {
		w.seen.payload += uint64(len(e.Data))
	}
}

// time0 is now.
func (w *modelled) time0() time.Time {
	return modelEpoch.Add(time.Duration(w.now.Load()) * time.Microsecond)
}

func (w *modelled) reopen(t *rapid.T) {
	w.closeAndCheck(t)
	w.open(t)
}

func (w *modelled) closeAndCheck(t *rapid.T) {
	if err := w.l.Close(); err != nil {
		t.Fatal(err)
	}
	clear(w.lazy)
	for _, fault := range brokenInvariants(w.dir, w.l, false) {
		t.Error(fault)
	}
}

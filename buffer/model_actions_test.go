package buffer

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"pgregory.net/rapid"

	"gateway"
)

// modelEvents are events of every kind, the same for the same seed.
func modelEvents(seed uint64, n, size int) gateway.Batch {
	rng := rand.New(rand.NewPCG(seed, 1))
	var b gateway.Batch
	for range n {
		e := gateway.Event{
			Source: fmt.Sprintf("device/%d", rng.IntN(3)), Type: "t", Subject: []string{"", "a", "b/ç"}[rng.IntN(3)],
			Data: newNoise(byte(rng.IntN(256))).bytes(rng.IntN(size + 1)),
		}
		switch rng.IntN(4) {
		case 0:
			e.ID = fmt.Sprintf("own-%d", rng.IntN(10))
		case 1:
			e.Time = time.Unix(rng.Int64N(1<<33), rng.Int64N(1e9)).UTC()
		case 2:
			e.Extensions = map[string]string{"one": fmt.Sprint(rng.IntN(5)), "two": "ü"}
			e.DataContentType, e.DataSchema = "text/plain", "urn:x"
		}
		b.Events, b.Marks = append(b.Events, e), append(b.Marks, uint32(rng.IntN(3)))
	}
	if rng.IntN(2) == 0 {
		b.Marks = nil
	}
	return b
}

func (w *modelled) append(t *rapid.T) {
	w.commit(t, modelEvents(rapid.Uint64().Draw(t, "seed"), rapid.IntRange(1, 20).Draw(t, "events"), 60))
}

// many are so many commits that some are old enough to be trimmed: the newest never are.
func (w *modelled) many(t *rapid.T) {
	seed := rapid.Uint64().Draw(t, "seed")
	for i := range rapid.SampledFrom([]int{2, 20, recentBlocks}).Draw(t, "commits") {
		w.now.Add(1000)
		w.commit(t, modelEvents(seed+uint64(i), 1+i%3, 60))
	}
}

// flood fills a small disk: it writes some megabytes.
func (w *modelled) flood(t *rapid.T) {
	seed := rapid.Uint64().Draw(t, "seed")
	for i := range rapid.SampledFrom([]int{1, 10, 25}).Draw(t, "commits") {
		w.commit(t, modelEvents(seed+uint64(i), 7, 50<<10))
	}
}

var modelCursors = []string{"a", "b"}

func (w *modelled) drawMove(t *rapid.T) gateway.CursorMove {
	at := gateway.Offset(rapid.IntRange(0, len(w.m.entries)).Draw(t, "at"))
	return gateway.CursorMove{Name: rapid.SampledFrom(modelCursors).Draw(t, "cursor"), Offset: at}
}

func (w *modelled) move(t *rapid.T) {
	w.commit(t, gateway.Batch{Cursors: []gateway.CursorMove{w.drawMove(t)}})
}

// moveLazily does not wait for the move to be durable.
func (w *modelled) moveLazily(t *rapid.T) {
	c := w.drawMove(t)
	if err := w.l.Submit(w.context(t), gateway.Batch{Cursors: []gateway.CursorMove{c}}, func(gateway.Offset, error) {}); err != nil {
		t.Fatal(err)
	}
	before := gateway.Offset(math.MaxUint64)
	if at, ok := w.m.cursors[c.Name]; ok {
		before = at
	}
	w.lazy[c.Name] = append(w.lazy[c.Name], before)
	w.m.cursors[c.Name] = c.Offset
	w.seen.moved(c.Name, c.Offset)
}

// settleAll is what two forwarders do that have delivered everything.
func (w *modelled) settleAll(t *rapid.T) {
	var b gateway.Batch
	for _, name := range modelCursors {
		b.Cursors = append(b.Cursors, gateway.CursorMove{Name: name, Offset: w.m.last()})
	}
	w.commit(t, b)
}

func (w *modelled) forget(t *rapid.T) {
	name := rapid.SampledFrom(modelCursors).Draw(t, "cursor")
	if err := w.l.DropCursor(w.context(t), name); err != nil {
		t.Fatal(err)
	}
	delete(w.m.cursors, name)
	clear(w.lazy) // it was in the same group, or before
	w.seen.moved(name, math.MaxUint64)
}

func (w *modelled) key(t *rapid.T) {
	kv := gateway.KeyValue{Key: rapid.SampledFrom([]string{"x", "y", "y/z"}).Draw(t, "key")}
	if rapid.Bool().Draw(t, "set") {
		kv.Value = []byte(rapid.String().Draw(t, "value"))
	}
	w.commit(t, gateway.Batch{KV: []gateway.KeyValue{kv}})
}

// bury is what a forwarder does with an event that can never be delivered: the dead letter and the move are one.
func (w *modelled) bury(t *rapid.T) {
	c := w.drawMove(t)
	if c.Offset == 0 {
		t.Skip("nothing to bury")
	}
	letter := gateway.KeyValue{Key: fmt.Sprintf("dead/%s/%016x", c.Name, uint64(c.Offset)), Value: w.m.entries[c.Offset-1].Event.Data}
	if letter.Value == nil {
		letter.Value = []byte{}
	}
	w.commit(t, gateway.Batch{Cursors: []gateway.CursorMove{c}, KV: []gateway.KeyValue{letter}})
}

// time passes: what is too old goes.
func (w *modelled) time(t *rapid.T) {
	w.now.Add(rapid.Int64Range(1, (30*time.Hour).Microseconds()).Draw(t, "µs"))
	if err := w.l.lookAtAges(); err != nil {
		t.Fatal(err)
	}
	w.commit(t, gateway.Batch{})
}

package buffer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"gateway"
)

// deadline bounds every wait of a test.
const deadline = 30 * time.Second

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	return ctx
}

// watched has, by directory, the log that was opened there last, and what is checked of it when it is closed for good.
var watched sync.Map // of string to *watch

// watch belongs to one test.
type watch struct {
	l        *Log
	damaged  bool // on purpose: nothing is checked
	repaired bool // there may be a quarantine
}

func watchOf(dir string) *watch {
	w, _ := watched.LoadOrStore(dir, &watch{})
	return w.(*watch)
}

// openLog opens a log that is closed when the test ends, and its directory checked then (see brokenInvariants).
func openLog(t testing.TB, o Options) *Log {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if !o.ReadOnly {
		watchOf(o.Dir).l = l
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		checkInvariants(t, o.Dir, l)
	})
	return l
}

// keepsInvariants says whether the directory is checked when the test ends: not where it is damaged for good.
func keepsInvariants(dir string, keeps bool) { watchOf(dir).damaged = !keeps }

// keepsQuarantine says that the directory has a quarantine when the test ends, and is right otherwise.
func keepsQuarantine(dir string) { watchOf(dir).repaired = true }

// checkInvariants checks the directory if l is the one that had it last. Not in benchmarks.
func checkInvariants(t testing.TB, dir string, l *Log) {
	t.Helper()
	w := watchOf(dir)
	if _, isBenchmark := t.(*testing.B); w.l != l || w.damaged || isBenchmark || l.failed() != nil {
		return
	}
	watched.Delete(dir)
	for _, fault := range brokenInvariants(dir, l, w.repaired) {
		t.Errorf("invariants of %s: %s", dir, fault)
	}
}

func closeLog(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

func event(data string) gateway.Event {
	return gateway.Event{Source: "gateway/device-1", Type: "mqtt.publish", Subject: "a/b", Data: []byte(data)}
}

func mustAppend(t testing.TB, l *Log, events ...gateway.Event) gateway.Offset {
	t.Helper()
	last, err := l.Append(testContext(t), events...)
	if err != nil {
		t.Fatal(err)
	}
	return last
}

func mustCommit(t testing.TB, l *Log, b gateway.Batch) {
	t.Helper()
	if _, err := l.Commit(testContext(t), b); err != nil {
		t.Fatal(err)
	}
}

// settle moves a cursor and waits until it is durable.
func settle(t testing.TB, l *Log, name string, offset gateway.Offset) {
	t.Helper()
	mustCommit(t, l, gateway.Batch{
		Cursors: []gateway.CursorMove{{Name: name, Offset: offset}},
		KV:      []gateway.KeyValue{{Key: "test/now", Value: []byte{1}}}, // so that it does not wait
	})
}

// readTo reads everything after the given offset up to and including last.
func readTo(t testing.TB, l *Log, after, last gateway.Offset) []gateway.Entry {
	t.Helper()
	r := l.NewReader(after)
	defer r.Close()
	var all []gateway.Entry
	for len(all) == 0 || all[len(all)-1].Offset < last {
		entries, err := r.Next(testContext(t), 1000)
		if err != nil {
			t.Fatalf("read after %d: %v", after, err)
		}
		all = append(all, entries...)
	}
	return all
}

// waitFor polls cond until the deadline.
func waitFor(t testing.TB, what string, cond func() bool) {
	t.Helper()
	end := time.Now().Add(deadline)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		if time.Now().After(end) {
			t.Fatalf("waited %s for: %s", deadline, what)
		}
		<-tick.C
	}
}

// walk makes readings as 20 devices do: a random walk, as JSON of about 107 bytes.
type walk struct {
	rng  *rand.Rand
	temp [20]float64
	seq  int
	buf  []byte
}

func newWalk(seed uint64) *walk {
	w := &walk{rng: rand.New(rand.NewPCG(seed, 1))}
	for i := range w.temp {
		w.temp[i] = 20
	}
	return w
}

// next returns an event whose data is valid until the next call.
func (w *walk) next() gateway.Event {
	w.seq++
	d := w.seq % len(w.temp)
	w.temp[d] += w.rng.NormFloat64() * 0.05
	w.buf = fmt.Appendf(w.buf[:0], `{"device":"sensor-%02d","seq":%d,"time":%d,"temperature":%.2f,"humidity":%.1f,"battery":%.2f}`,
		d, w.seq, 1790000000000+int64(w.seq)*7, w.temp[d], 40+w.temp[d]/3, 3.3+w.temp[d]/100)
	return gateway.Event{
		Source: walkSources[d], Type: "mqtt.publish", Subject: walkTopics[d],
		DataContentType: "application/json", Data: w.buf,
	}
}

var walkSources, walkTopics = func() (s, t [20]string) {
	for i := range s {
		s[i] = fmt.Sprintf("//gateway/pi-1/sensor-%02d", i)
		t[i] = fmt.Sprintf("plant/hall-3/sensor-%02d/reading", i)
	}
	return s, t
}()

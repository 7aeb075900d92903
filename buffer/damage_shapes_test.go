package buffer

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gateway"
)

// damageTruth is what a log had before it was damaged. The events are those of damageEvent, each at its number as the offset.
type damageTruth struct {
	Shape string
	// Clean says that the log was closed, Loaded that its process was killed while it appended: then more may be there.
	Clean, Loaded bool
	LogID         string
	Epoch         uint32
	First, Last   gateway.Offset
	Cursors       map[string]gateway.Offset
	Keys          map[string]string   // what stands under each key
	Old           map[string][]string // what stood there before
	Gaps          []gateway.Gap
	Batch         int // the most events in a block
	Size          int // of the data of an event, on average
}

// damageEvent is the event of an offset: of many devices, some with an ID, a time and an extension of their own.
func damageEvent(n gateway.Offset, size int) gateway.Event {
	rng := rand.New(rand.NewPCG(uint64(n), 7))
	data := fmt.Appendf(nil, `{"seq":%d,"noise":"`, n)
	for range size/2 + rng.IntN(size+1) {
		data = append(data, byte('!'+rng.IntN(90)))
	}
	e := gateway.Event{
		Source: fmt.Sprintf("//gateway/pi/sensor-%02d", n%20), Type: "mqtt.publish", Subject: fmt.Sprintf("hall/%d", n%20),
		Data: append(data, `"}`...),
	}
	if n%5 == 0 {
		e.ID = fmt.Sprintf("device-%d", n)
	}
	if n%3 == 0 {
		e.Time = time.Unix(1_790_000_000+int64(n), 123_456_789).UTC()
	}
	if n%7 == 0 {
		e.Extensions = map[string]string{"n": strconv.Itoa(int(n))}
	}
	return e
}

// damageShape says what kind of a log to damage.
type damageShape struct {
	name          string
	events, batch int
	size          int
	closed        bool
	gap           int // where a block is lost
	trimmed       int // events that every cursor is past
	loaded        bool
}

var damageShapes = []damageShape{
	{name: "new", events: 5, batch: 1, size: 60},
	{name: "small", events: 300, batch: 9, size: 100},
	{name: "small closed", events: 300, batch: 9, size: 100, closed: true},
	{name: "under load", events: 400, batch: 5, size: 100, loaded: true},
	{name: "tables", events: 9000, batch: 30, size: 1400, gap: 5000, trimmed: 2500},
	{name: "tables closed", events: 6000, batch: 30, size: 1400, gap: 2000, trimmed: 1000, closed: true},
}

// damageChild names the shape that a child process of this test binary makes in a directory, until it is killed.
const damageChild = "GATEWAY_DAMAGE_CHILD"

// makeShape has a child make a log in dir, and kills it.
func makeShape(t *testing.T, s damageShape, dir string) damageTruth {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestDamageChild$")
	cmd.Env = append(os.Environ(), damageChild+"="+s.name, childDirName+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }() // killed
	defer func() { _ = cmd.Process.Kill() }()
	var truth damageTruth
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		text, ok := strings.CutPrefix(lines.Text(), "TRUTH ")
		if !ok {
			continue
		}
		if err := json.Unmarshal([]byte(text), &truth); err != nil {
			t.Fatal(err)
		}
		if !s.loaded {
			return truth
		}
		for more := 500; more > 0 && lines.Scan(); more-- { // each line is an acknowledgement
			n, err := strconv.Atoi(lines.Text())
			if err != nil {
				t.Fatal(err)
			}
			truth.Last = gateway.Offset(n)
		}
		return truth
	}
	t.Fatalf("the child that makes the shape %s said nothing", s.name)
	return truth
}

const childDirName = "GATEWAY_DAMAGE_DIR"

// TestDamageChild is the process that makes a shape. It does nothing in a run of its own.
func TestDamageChild(t *testing.T) {
	for _, s := range damageShapes {
		if s.name == os.Getenv(damageChild) {
			if err := s.make(os.Getenv(childDirName)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// shapeMaker makes a shape.
type shapeMaker struct {
	damageShape
	l     *Log
	truth damageTruth
	rng   *rand.Rand
	ctx   context.Context
}

func (s damageShape) make(dir string) error {
	l, err := Open(Options{Dir: dir})
	if err != nil {
		return err
	}
	m := &shapeMaker{damageShape: s, l: l, rng: rand.New(rand.NewPCG(1, 2)), ctx: context.Background()}
	m.truth = damageTruth{
		Shape: s.name, Clean: s.closed, Loaded: s.loaded, Batch: s.batch, Size: s.size,
		Cursors: map[string]gateway.Offset{}, Keys: map[string]string{}, Old: map[string][]string{},
	}
	if err := m.fill(); err != nil {
		return err
	}
	status := l.Status()
	m.truth.LogID, m.truth.Epoch, m.truth.First, m.truth.Last, m.truth.Gaps = status.LogID, status.Epoch, status.First, status.Last, status.Gaps
	if s.closed {
		if err := l.Close(); err != nil {
			return err
		}
	}
	text, err := json.Marshal(m.truth)
	if err != nil {
		return err
	}
	fmt.Printf("\nTRUTH %s\n", text)
	for s.loaded {
		if err := m.append(1 + m.rng.IntN(s.batch)); err != nil {
			return err
		}
		fmt.Println(m.truth.Last)
	}
	select {} // until we are killed
}

func (m *shapeMaker) fill() error {
	if err := m.commit(gateway.Batch{Cursors: []gateway.CursorMove{{Name: "slow"}, {Name: "up"}}}); err != nil {
		return err
	}
	for int(m.truth.Last) < m.events {
		n := 1 + m.rng.IntN(m.batch)
		if err := m.append(n); err != nil {
			return err
		}
		if err := m.sideEffects(); err != nil {
			return err
		}
	}
	if m.gap == 0 {
		return nil
	}
	if err := m.lose(gateway.Offset(m.gap)); err != nil {
		return err
	}
	return m.commit(gateway.Batch{KV: []gateway.KeyValue{{Key: "test/end", Value: []byte("end")}}})
}

// lose alters a block behind the back of the log, and has a reader meet that: a gap takes its place.
func (m *shapeMaker) lose(offset gateway.Offset) error {
	refs, err := m.l.engine.blocksFrom(offset, nil, 1)
	if err != nil {
		return err
	}
	block := write{key: blockKey(refs[0].first)}
	err = m.l.engine.get(block.key, func(v []byte) error { block.value = append(block.value, v...); return nil })
	if err != nil {
		return err
	}
	block.value[len(block.value)-1] ^= 1
	if err := m.l.engine.commit([]write{block}); err != nil {
		return err
	}
	r := m.l.NewReader(refs[0].first - 1)
	defer r.Close()
	_, err = r.Next(m.ctx, 1)
	if n := len(m.l.Status().Gaps); err == nil && n != 1 {
		err = fmt.Errorf("there are %d gaps", n)
	}
	return err
}

func (m *shapeMaker) append(n int) error {
	var b gateway.Batch
	for range n {
		b.Events = append(b.Events, damageEvent(m.truth.Last+1, m.size))
		m.truth.Last++
	}
	return m.commit(b)
}

// sideEffects moves cursors and sets keys, now and then.
func (m *shapeMaker) sideEffects() error {
	last := m.truth.Last
	switch m.rng.IntN(12) {
	case 0:
		at := min(last/2, gateway.Offset(m.trimmed))
		return m.commit(gateway.Batch{Cursors: []gateway.CursorMove{{Name: "up", Offset: at}, {Name: "slow", Offset: at * 9 / 10}}, KV: m.key()})
	case 1, 2:
		return m.commit(gateway.Batch{KV: m.key()})
	}
	return nil
}

func (m *shapeMaker) key() []gateway.KeyValue {
	kv := gateway.KeyValue{Key: fmt.Sprintf("dead/up/%d", m.rng.IntN(20))}
	if m.rng.IntN(4) > 0 {
		kv.Value = fmt.Appendf(nil, "value %d at %d", m.rng.Uint64(), m.truth.Last)
	}
	return []gateway.KeyValue{kv}
}

// commit commits b and notes it.
func (m *shapeMaker) commit(b gateway.Batch) error {
	if len(b.KV) == 0 && len(b.Events) == 0 {
		b.KV = []gateway.KeyValue{{Key: "test/now", Value: []byte{1}}}
	}
	if _, err := m.l.Commit(m.ctx, b); err != nil {
		return err
	}
	for _, c := range b.Cursors {
		m.truth.Cursors[c.Name] = max(c.Offset, m.truth.Cursors[c.Name])
	}
	for _, kv := range b.KV {
		if old, ok := m.truth.Keys[kv.Key]; ok && !slices.Contains(m.truth.Old[kv.Key], old) {
			m.truth.Old[kv.Key] = append(m.truth.Old[kv.Key], old)
		}
		delete(m.truth.Keys, kv.Key)
		if kv.Value != nil {
			m.truth.Keys[kv.Key] = string(kv.Value)
		}
	}
	return nil
}

// makeShapes makes every shape in a folder of its own below dir, and leaves what is true of it beside it.
func makeShapes(t *testing.T, dir string) {
	t.Helper()
	for i, s := range damageShapes {
		data := filepath.Join(dir, strconv.Itoa(i))
		text, err := json.Marshal(makeShape(t, s, data))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(data+".json", text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// copyShape copies a shape, so that it can be damaged.
func copyShape(t *testing.T, shapes string, i int, to string) damageTruth {
	t.Helper()
	from := filepath.Join(shapes, strconv.Itoa(i))
	copyTree(t, from, to)
	text, err := os.ReadFile(from + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var truth damageTruth
	if err := json.Unmarshal(text, &truth); err != nil {
		t.Fatal(err)
	}
	return truth
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

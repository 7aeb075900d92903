package buffer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gateway"
)

// shapeOf makes the named shape alone, in a folder of its own.
func shapeOf(t *testing.T, name string) (dir string, truth damageTruth) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "log")
	for _, s := range damageShapes {
		if s.name == name {
			return dir, makeShape(t, s, dir)
		}
	}
	t.Fatalf("there is no shape %q", name)
	return "", truth
}

// TestDamageWhileRunning flips a bit of a block in a table of an open log. A reader that comes there gets a gap for the
// events of that block and no others, and everything else as it was; and events are taken meanwhile.
func TestDamageWhileRunning(t *testing.T) {
	t.Parallel()
	dir, truth := shapeOf(t, "tables closed")
	l := openLog(t, Options{Dir: dir})
	keepsQuarantine(dir)
	hurt := hurtBlock(t, l, truth.First+200)
	appended := make(chan error, 1)
	go func() {
		for range 200 {
			if _, err := l.Append(context.Background(), event("x")); err != nil {
				appended <- err
				return
			}
		}
		appended <- nil
	}()
	d := &damaged{t: t, truth: truth, l: l}
	started := time.Now()
	served, gone, err := d.read()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("read past the damage in %s", time.Since(started))
	for n := truth.First; n <= truth.Last; n++ {
		e, ok := served[n]
		switch want := !covered(truth.Gaps, gateway.Gap{From: n, To: n}) && (n < hurt.first || n > hurt.last()); {
		case ok != want:
			t.Fatalf("offset %d: served %t, want %t; the block is %d to %d", n, ok, want, hurt.first, hurt.last())
		case ok:
			d.checkEvent(&e)
		}
	}
	for _, f := range d.out.Faults {
		t.Error(f)
	}
	if !covered(gone, gateway.Gap{From: hurt.first, To: hurt.last()}) {
		t.Errorf("got gaps %v, want one of %d to %d", gone, hurt.first, hurt.last())
	}
	if err := <-appended; err != nil {
		t.Errorf("append: %v", err)
	}
	if s := l.Status(); s.Failed != "" || s.Lost[gateway.LostDamage] != uint64(hurt.count) {
		t.Errorf("got status %+v, want %d lost", s, hurt.count)
	}
}

// hurtBlock flips a bit in the block that is the first to begin at or after offset, wherever a table has it.
func hurtBlock(t *testing.T, l *Log, offset gateway.Offset) (hurt header) {
	t.Helper()
	refs, err := l.engine.blocksFrom(offset, nil, 1)
	if err != nil || len(refs) == 0 {
		t.Fatalf("no block at %d: %v", offset, err)
	}
	tables, err := filepath.Glob(filepath.Join(l.engine.dir, "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range tables {
		places := map[int64]int{}
		_, err := carveFile(name, 0, carver{block: func(h header, block []byte, at int64) error {
			if h.first == refs[0].first {
				hurt, places[at] = h, len(block)
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		for at, size := range places {
			flipInFile(t, name, at+int64(size)/2)
		}
	}
	if hurt.count == 0 {
		t.Fatalf("no table has the block at %d", refs[0].first)
	}
	return hurt
}

func flipInFile(t *testing.T, name string, at int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x10
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

// damageRunning gives the child of TestDamageAnywhereWhileRunning its directory, the truth beside it, and its seed.
const damageRunning = "GATEWAY_DAMAGE_RUNNING"

// TestDamageAnywhereWhileRunning flips bytes anywhere in the tables of an open log, which is then read, merged and appended
// to. Whatever the engine makes of it, nothing that was altered is read; and the next start has the rest.
func TestDamageAnywhereWhileRunning(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv(damageSeed); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	t.Logf("seed %d", seed)
	from, truth := shapeOf(t, "tables closed")
	ended := map[string]int{}
	rounds := 8
	if raceEnabled {
		rounds = 3
	}
	for round := range rounds {
		dir := filepath.Join(t.TempDir(), "log")
		copyTree(t, from, dir)
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDamageRunningChild$", "-test.v", "-test.timeout=60s")
		cmd.Env = append(os.Environ(), damageRunning+"="+dir, fmt.Sprintf("%s=%d", damageSeed, seed+uint64(round)))
		out, err := cmd.CombinedOutput()
		how := "went on"
		switch {
		case strings.Contains(string(out), "ALTERED"):
			t.Errorf("round %d: %s", round, out)
		case strings.Contains(string(out), "STOPPED"):
			how = "stopped the log"
		case err != nil:
			how = "ended the process"
			t.Logf("round %d: %.1500s", round, out)
		}
		ended[how]++
		checkNextStart(t, round, dir, truth)
	}
	t.Logf("%v", ended)
}

// checkNextStart opens the log as a supervisor does, a few times if it has to, and wants every event or a gap.
func checkNextStart(t *testing.T, round int, dir string, truth damageTruth) {
	t.Helper()
	d := &damaged{t: t, dir: dir, truth: truth, words: &strings.Builder{}}
	if !d.open() {
		t.Errorf("round %d: %v", round, d.out.Faults)
		return
	}
	served, gone := d.readAll()
	if d.l == nil {
		t.Errorf("round %d: %v", round, d.out.Faults)
		return
	}
	fmt.Fprint(d.words, "events are gone: the process before may have said that, and not this one")
	d.judge(served, gone)
	d.checkAppend(served)
	d.close()
	for _, f := range d.out.Faults {
		t.Errorf("round %d: %s", round, f)
	}
	if len(d.out.Faults) > 0 {
		t.Logf("round %d: it said: %.3000s", round, d.words)
	}
}

// TestDamageRunningChild is the process whose files are damaged. It does nothing in a run of its own.
func TestDamageRunningChild(t *testing.T) {
	dir := os.Getenv(damageRunning)
	if dir == "" {
		t.Skip("the process of TestDamageAnywhereWhileRunning")
	}
	seed, _ := strconv.ParseUint(os.Getenv(damageSeed), 10, 64)
	rng := rand.New(rand.NewPCG(seed, 0))
	l, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, engineName, "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range tables {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		var blocks []int64 // where they begin: before that is what the engine needs to find them
		if _, err := carveFile(name, 0, carver{block: func(_ header, _ []byte, at int64) error { blocks = append(blocks, at); return nil }}); err != nil {
			t.Fatal(err)
		}
		for range 1 + rng.IntN(3) {
			flipInFile(t, name, rng.Int64N(info.Size()))
			flipInFile(t, name, max(0, blocks[rng.IntN(len(blocks))]-1-rng.Int64N(40)))
			flipInFile(t, name, info.Size()-1-rng.Int64N(1000))
		}
	}
	status := l.Status()
	truth := damageTruth{LogID: status.LogID, Epoch: 1, Size: 1400, First: status.First, Last: status.Last}
	d := &damaged{t: t, truth: truth, l: l}
	served, _, err := d.read()
	for n, e := range served {
		if n <= truth.Last {
			d.checkEvent(&e)
		}
	}
	for _, f := range d.out.Faults {
		fmt.Println("ALTERED", f)
	}
	if err != nil {
		fmt.Println("STOPPED", err)
		return // as a supervisor sees it
	}
	for range 300 {
		if _, err := l.Append(context.Background(), damageEvent(l.durable()+1, 1400)); err != nil {
			fmt.Println("STOPPED", err)
			return
		}
	}
	if err := l.Compact(testContext(t)); err != nil {
		fmt.Println("STOPPED", err)
		return
	}
	if err := l.Close(); err != nil {
		fmt.Println("STOPPED", err)
	}
}

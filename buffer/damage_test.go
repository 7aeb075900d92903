package buffer

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// Environment of TestDamage. A place is a number; with the seed it says everything that is random.
const (
	damageCount  = "GATEWAY_DAMAGE"        // how many places, 40 if it is not set
	damageSeed   = "GATEWAY_DAMAGE_SEED"   // the seed, random if it is not set
	damagePlace  = "GATEWAY_DAMAGE_PLACE"  // this place alone
	damageShapeD = "GATEWAY_DAMAGE_SHAPES" // for the child: where the shapes are
)

// TestDamage makes logs of several shapes, damages them at random places, one at a time, and wants of each that it is opened, or refused with the
// one command that repairs it; that every event is served as it was, or said to be gone; and that it goes on. Each place is a process
// of its own, because the engine ends the process over some damage.
func TestDamage(t *testing.T) {
	t.Parallel()
	seed, count := uint64(time.Now().UnixNano()), 24
	if raceEnabled { // which has nothing to find in one process a place, and is slow with large files
		count = 8
	}
	if s := os.Getenv(damageSeed); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	if s := os.Getenv(damageCount); s != "" {
		count, _ = strconv.Atoi(s)
	}
	t.Logf("seed %d", seed)
	places := make(chan int, max(count, 1))
	if s := os.Getenv(damagePlace); s != "" {
		place, _ := strconv.Atoi(s)
		places <- place
		count = 1
	} else {
		for place := range count {
			places <- place
		}
	}
	close(places)
	shapes := t.TempDir()
	makeShapes(t, shapes)
	var mu sync.Mutex
	var verdicts []verdict
	var working sync.WaitGroup
	for range 2 {
		working.Go(func() {
			for place := range places {
				v := runPlace(t, shapes, seed, place)
				mu.Lock()
				verdicts = append(verdicts, v)
				mu.Unlock()
			}
		})
	}
	working.Wait()
	t.Logf("%d places, seed %d\n%s", count, seed, damageTable(verdicts))
}

// runPlace has a child damage and check one place.
func runPlace(t *testing.T, shapes string, seed uint64, place int) (v verdict) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDamagePlace$", "-test.v", "-test.timeout=120s")
	cmd.Env = append(os.Environ(), damageShapeD+"="+shapes, fmt.Sprintf("%s=%d", damageSeed, seed), fmt.Sprintf("%s=%d", damagePlace, place))
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if text, ok := strings.CutPrefix(line, "VERDICT "); ok {
			if err := json.Unmarshal([]byte(text), &v); err != nil {
				t.Error(err)
			}
		}
	}
	if err != nil || len(v.Faults) > 0 || v.Outcome == "" {
		const most = 4000
		t.Errorf("place %d: %v\n%.*s\nagain: %s=%d %s=%d go test ./buffer -run '^TestDamage$'", place, err, most, out, damageSeed, seed, damagePlace, place)
	}
	return v
}

// TestDamagePlace is the process of one place. It does nothing in a run of its own.
func TestDamagePlace(t *testing.T) {
	shapes := os.Getenv(damageShapeD)
	if shapes == "" {
		t.Skip("the process of one place of TestDamage")
	}
	seed, _ := strconv.ParseUint(os.Getenv(damageSeed), 10, 64)
	place, _ := strconv.ParseUint(os.Getenv(damagePlace), 10, 64)
	rng := rand.New(rand.NewPCG(seed, place))
	dir := t.TempDir()
	d := &damaged{t: t, dir: dir, words: &strings.Builder{}}
	d.truth = copyShape(t, shapes, rng.IntN(len(damageShapes)), dir)
	d.out.Shape = d.truth.Shape
	d.out.Harm = doHarm(t, rng, dir)
	fmt.Printf("\n%s: %s\n", d.out.Shape, d.out.Harm)
	started := time.Now()
	d.run()
	d.close()
	d.out.Took = time.Since(started)
	for _, f := range d.out.Faults {
		t.Error(f)
	}
	if t.Failed() {
		t.Logf("the log said: %s", d.words)
	}
	text, err := json.Marshal(d.out)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("\nVERDICT %s\n", text)
}

// damageTable counts what became of what: kinds of files down, kinds of damage across.
func damageTable(verdicts []verdict) string {
	var b strings.Builder
	cells, whats, totals := map[string]map[string]map[string]int{}, map[string]bool{}, map[string]int{}
	found, harmed := 0, 0
	for _, v := range verdicts {
		outcome := v.Outcome
		switch {
		case len(v.Faults) > 0 || outcome == "":
			outcome = "FAULT"
		case v.Refused:
			outcome = refused
		}
		whats[v.Harm.What] = true
		if cells[v.Harm.Kind] == nil {
			cells[v.Harm.Kind] = map[string]map[string]int{}
		}
		if cells[v.Harm.Kind][v.Harm.What] == nil {
			cells[v.Harm.Kind][v.Harm.What] = map[string]int{}
		}
		cells[v.Harm.Kind][v.Harm.What][outcome]++
		totals[outcome]++
		if v.Outcome != servedAll || v.Refused {
			harmed++
			if v.Found {
				found++
			}
		}
	}
	columns := slices.Sorted(maps.Keys(whats))
	w := tabwriter.NewWriter(&b, 0, 0, 1, ' ', tabwriter.Debug)
	fmt.Fprintf(w, "file\t%s\n", strings.Join(columns, "\t"))
	for _, kind := range slices.Sorted(maps.Keys(cells)) {
		fmt.Fprint(w, kind)
		for _, what := range columns {
			var parts []string
			for _, outcome := range slices.Sorted(maps.Keys(cells[kind][what])) {
				parts = append(parts, fmt.Sprintf("%d %s", cells[kind][what][outcome], outcome))
			}
			fmt.Fprintf(w, "\t%s", strings.Join(parts, ", "))
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // to memory
	verdictLine := "every log was opened, or refused with one command and repaired; nothing altered was served, and what is gone was reported"
	if totals["FAULT"] > 0 {
		verdictLine = fmt.Sprintf("NOT RIGHT: %d faults", totals["FAULT"])
	}
	fmt.Fprintf(&b, "in all: %v; of %d logs that lost something or were refused, verify had found %d before they were opened\nverdict: %s\n", totals, harmed, found, verdictLine)
	return b.String()
}

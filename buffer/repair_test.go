package buffer

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gateway"
)

// damageRepairs names the directory that a child process of this test binary opens, to be killed while it repairs it.
const damageRepairs = "GATEWAY_DAMAGE_REPAIRS"

// TestRepairChild is the process that repairs. It does nothing in a run of its own.
func TestRepairChild(t *testing.T) {
	dir := os.Getenv(damageRepairs)
	if dir == "" {
		t.Skip("the process that TestRepairThatIsCutOff kills")
	}
	fmt.Println("OPENS")
	l, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("OPENED")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestRepairThatIsCutOff kills a process that rebuilds a damaged log, after a random time, again and again. The start after that finishes what was
// begun: everything that an undisturbed repair keeps is there, and nothing else is gone.
func TestRepairThatIsCutOff(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	shape := damageShapes[len(damageShapes)-2] // several tables, and a gap
	shapes := t.TempDir()
	truth := makeShape(t, shape, filepath.Join(shapes, "0"))
	damage := func(dir string) {
		copyTree(t, filepath.Join(shapes, "0"), dir)
		if err := os.Remove(filepath.Join(dir, engineName, "MANIFEST")); err != nil {
			t.Fatal(err)
		}
	}
	undisturbed := filepath.Join(t.TempDir(), "log")
	damage(undisturbed)
	keepsQuarantine(undisturbed)
	started := time.Now()
	l := openLog(t, Options{Dir: undisturbed})
	took := time.Since(started)
	want := l.Status()
	closeLog(t, l)
	// The block that was altered is still somewhere in the files as it was: a repair may find it.
	if want.Last != truth.Last || len(want.Gaps) > 0 && !sameGaps(want.Gaps, truth.Gaps) {
		t.Fatalf("got %d to %d, gaps %v; want up to %d, and %v", want.First, want.Last, want.Gaps, truth.Last, truth.Gaps)
	}
	cut, rounds := 0, 5
	if raceEnabled {
		rounds = 3
	}
	for round := range rounds {
		dir := filepath.Join(t.TempDir(), "log")
		damage(dir)
		for range 3 { // a repair that goes on is cut off as well
			if killed := repairAndKill(t, dir, time.Duration(rng.Int64N(int64(took)*5/4))); killed {
				cut++
			}
			dir = moved(t, dir) // a card that is mounted elsewhere
		}
		keepsQuarantine(dir)
		checkRepaired(t, round, dir, want, truth)
	}
	t.Logf("an undisturbed repair took %s; %d of %d were cut off", took, cut, 3*rounds)
	if cut < rounds/2 {
		t.Errorf("%d of %d repairs were cut off: the test does not test", cut, 3*rounds)
	}
}

// moved gives the data directory another name.
func moved(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.Rename(dir, to); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestTornWriteIsPutBackElsewhere cuts off a start that has set the newest, torn write aside. The next start, of a directory that has been moved
// meanwhile, or of which somebody has deleted what was set aside, opens the log, with what is still there of that write.
func TestTornWriteIsPutBackElsewhere(t *testing.T) {
	t.Parallel()
	for _, deleted := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "log")
		l := openLog(t, Options{Dir: dir})
		for i := range 20 {
			mustAppend(t, l, event(fmt.Sprint(i)))
		}
		image := filepath.Join(t.TempDir(), "image")
		copyTree(t, dir, image)
		wals, err := filepath.Glob(filepath.Join(image, engineName, "*.mem"))
		if err != nil || len(wals) == 0 {
			t.Fatalf("got %q, %v; want a write-ahead log", wals, err)
		}
		cutOff(t, wals[0])
		found, err := inspect(image, false)
		if err != nil {
			t.Fatal(err)
		}
		o := Options{Dir: image, Logger: slog.New(slog.DiscardHandler)}
		r := recovery{dir: image, log: o.Logger, free: freeBytes, found: found, parent: filepath.Join(image, quarantineName)}
		if err := r.before(t.Context()); err != nil || r.pieces == "" || !r.torn {
			t.Fatalf("got pieces %q, torn %t, %v; want the torn write set aside", r.pieces, r.torn, err)
		}
		e, err := openEngine(filepath.Join(image, engineName), engineGeometry(intSize), o.Logger)
		if err == nil {
			err = e.close(closePatience) // by now the engine has dropped the torn write
		}
		if err != nil {
			t.Fatal(err)
		}
		image = moved(t, image)
		want := gateway.Offset(20) // its block was whole
		if deleted {
			want = 19
			if err := os.RemoveAll(filepath.Join(image, quarantineName)); err != nil {
				t.Fatal(err)
			}
		}
		keepsQuarantine(image)
		l = openLog(t, Options{Dir: image})
		if got := l.Status(); got.Last != want || len(got.Gaps) != 0 {
			t.Errorf("deleted %t: got the last offset %d, gaps %v; want %d, none", deleted, got.Last, got.Gaps, want)
		}
		closeLog(t, l)
	}
}

// cutOff makes zeroes of the last bytes of a write-ahead log that are not zero.
func cutOff(t *testing.T, name string) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	end := len(bytes.TrimRight(b, "\x00"))
	clear(b[end-30 : end])
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// sameGaps compares where they are.
func sameGaps(a, b []gateway.Gap) bool {
	return slices.EqualFunc(a, b, func(a, b gateway.Gap) bool { return a.From == b.From && a.To == b.To })
}

// repairAndKill has a child open the log and kills it after a time. It returns false if the child was done before.
func repairAndKill(t *testing.T, dir string, after time.Duration) bool {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestRepairChild$")
	cmd.Env = append(os.Environ(), damageRepairs+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said, buf := "", make([]byte, 4096)
	for !strings.Contains(said, "OPENS") {
		n, err := out.Read(buf)
		said += string(buf[:n])
		if err != nil {
			t.Fatalf("the child said %q, %v", said, err)
		}
	}
	kill := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	for err == nil {
		var n int
		n, err = out.Read(buf)
		said += string(buf[:n])
	}
	err = cmd.Wait()
	if err != nil && strings.Contains(said, "FAIL") {
		t.Fatalf("the child said %q", said)
	}
	return !strings.Contains(said, "OPENED")
}

// checkRepaired opens the log, which finishes the repair: it has what it should have.
func checkRepaired(t *testing.T, round int, dir string, want gateway.LogStatus, truth damageTruth) {
	t.Helper()
	l := openLog(t, Options{Dir: dir})
	defer closeLog(t, l)
	s := l.Status()
	if s.First > want.First || s.Last != want.Last || !sameGaps(s.Gaps, want.Gaps) || s.LogID != want.LogID || s.Epoch <= truth.Epoch {
		t.Fatalf("round %d: got %s.%d, %d to %d, gaps %v; want %s, a higher epoch, %d to %d", round, s.LogID, s.Epoch, s.First, s.Last, s.Gaps, want.LogID, want.First, want.Last)
	}
	for name, at := range want.Cursors {
		if s.Cursors[name] != at {
			t.Errorf("round %d: cursor %s is at %d, want %d", round, name, s.Cursors[name], at)
		}
	}
	d := &damaged{t: t, truth: truth}
	for _, e := range readTo(t, l, s.First-1, s.Last) {
		if e.Event.Type != gateway.TypeGap {
			d.checkEvent(&e)
		}
	}
	for _, f := range d.out.Faults {
		t.Errorf("round %d: %s", round, f)
	}
	if leftover, _ := filepath.Glob(filepath.Join(dir, newEngineName+"*")); len(leftover) > 0 {
		t.Errorf("round %d: %q is left", round, leftover)
	}
}

// TestRepairOfASoundLog loses nothing, and gives no ID twice.
func TestRepairOfASoundLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keepsQuarantine(dir)
	l := openLog(t, Options{Dir: dir})
	for i := range 50 {
		mustAppend(t, l, event(fmt.Sprint(i)))
	}
	settle(t, l, "up", 20)
	before := l.Status()
	entries := readTo(t, l, before.First-1, 50)
	closeLog(t, l)
	report, err := Repair(testContext(t), RepairOptions{Dir: dir})
	if err != nil || len(report.Gone) != 0 || report.Last != 50 || report.Quarantine == "" {
		t.Fatalf("got %+v, %v; want everything up to 50", report, err)
	}
	l = openLog(t, Options{Dir: dir})
	s := l.Status()
	if s.Epoch <= before.Epoch || s.Cursors["up"] != 20 || s.LogID != before.LogID {
		t.Errorf("got %+v, want a higher epoch than %d", s, before.Epoch)
	}
	for i, e := range readTo(t, l, entries[0].Offset-1, 50) {
		if e.Event.ID != entries[i].Event.ID || string(e.Event.Data) != string(entries[i].Event.Data) {
			t.Errorf("offset %d: got %+v, want %+v", e.Offset, e, entries[i])
		}
	}
}

// TestRepairIntoAnotherFolder keeps the damaged files where it was told to.
func TestRepairIntoAnotherFolder(t *testing.T) {
	t.Parallel()
	dir, aside := t.TempDir(), filepath.Join(t.TempDir(), "aside")
	keepsQuarantine(dir)
	l := openLog(t, Options{Dir: dir})
	mustAppend(t, l, event("a"), event("b"))
	settle(t, l, "up", 0)
	closeLog(t, l)
	report, err := Repair(testContext(t), RepairOptions{Dir: dir, Quarantine: aside})
	if err != nil || filepath.Dir(report.Quarantine) != aside {
		t.Fatalf("got %q, %v; want a folder in %s", report.Quarantine, err, aside)
	}
	if _, err := os.Stat(filepath.Join(report.Quarantine, engineName)); err != nil {
		t.Error(err)
	}
	if entries := readTo(t, openLog(t, Options{Dir: dir}), 0, 2); len(entries) != 2 {
		t.Errorf("got %d entries, want 2", len(entries))
	}
}

// TestNothingLeftIsRefused: where not one event or position can be read, the log is refused with the command that begins it anew; and
// that goes on behind what the state says.
func TestNothingLeftIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keepsQuarantine(dir)
	l := openLog(t, Options{Dir: dir})
	for range 30 {
		mustAppend(t, l, event("x"))
	}
	closeLog(t, l)
	entries, err := os.ReadDir(filepath.Join(dir, engineName))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.WriteFile(filepath.Join(dir, engineName, e.Name()), []byte("overwritten by somebody"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // also the second time
		_, err = Open(Options{Dir: dir})
		var damage *DamageError
		if !errors.As(err, &damage) || !strings.HasSuffix(err.Error(), "gateway log repair --data-dir "+dir) {
			t.Fatalf("got %v, want a *DamageError with the command", err)
		}
	}
	report, err := Repair(testContext(t), RepairOptions{Dir: dir})
	if err != nil || report.Last != 30 || len(report.Gone) != 1 || report.Gone[0].Count() != 30 {
		t.Fatalf("got %+v, %v; want 1 to 30 gone", report, err)
	}
	l = openLog(t, Options{Dir: dir})
	if last := mustAppend(t, l, event("y")); last != 31 {
		t.Errorf("got offset %d, want 31", last)
	}
	if s := l.Status(); s.Epoch < 2 {
		t.Errorf("got epoch %d, want a higher one", s.Epoch)
	}
}

// TestLookAtALogThatIsGone says that it is damaged, and not that there is none, before and after it was refused.
func TestLookAtALogThatIsGone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keepsInvariants(dir, false)
	l := openLog(t, Options{Dir: dir})
	mustAppend(t, l, event("x"))
	closeLog(t, l)
	if err := os.RemoveAll(filepath.Join(dir, engineName)); err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{{Dir: dir, ReadOnly: true}, {Dir: dir}, {Dir: dir, ReadOnly: true}} {
		_, err := Open(o)
		var damage *DamageError
		if !errors.As(err, &damage) || damage.Dir != dir {
			t.Errorf("read only %t: got %v, want a *DamageError", o.ReadOnly, err)
		}
	}
}

// TestRepairOfLargeBlocks makes the store anew of blocks that are as large as they get, and of many sizes below that: each goes into a
// transaction with others only as far as the engine takes that.
func TestRepairOfLargeBlocks(t *testing.T) {
	t.Parallel()
	for _, force := range []bool{true, false} {
		dir := t.TempDir()
		keepsQuarantine(dir)
		l := openLog(t, Options{Dir: dir, MaxSize: 256 << 20})
		rng := rand.NewChaCha8([32]byte{1})
		var last gateway.Offset
		for i := range 60 {
			events := make([]gateway.Event, 1+i%5)
			for j := range events {
				data := make([]byte, 70_000-i*900)
				_, _ = rng.Read(data)
				events[j] = gateway.Event{Source: "//t", Type: "t", Subject: "s", Data: data}
			}
			var err error
			if last, err = l.Append(t.Context(), events...); err != nil {
				t.Fatal(err)
			}
		}
		entries := readTo(t, l, 0, last)
		closeLog(t, l)
		if force {
			report, err := Repair(testContext(t), RepairOptions{Dir: dir})
			if err != nil || len(report.Gone) != 0 || report.Last != last {
				t.Fatalf("got %+v, %v; want everything up to %d", report, err, last)
			}
		} else if err := os.Remove(filepath.Join(dir, engineName, "MANIFEST")); err != nil {
			t.Fatal(err)
		}
		l = openLog(t, Options{Dir: dir, MaxSize: 256 << 20})
		same := func(a, b gateway.Entry) bool {
			return a.Offset == b.Offset && a.Event.ID == b.Event.ID && bytes.Equal(a.Event.Data, b.Event.Data)
		}
		if got := readTo(t, l, 0, last); !slices.EqualFunc(entries, got, same) {
			t.Errorf("force %t: the log has %d events of %d, or others", force, len(got), len(entries))
		}
		closeLog(t, l)
	}
}

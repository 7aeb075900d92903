package buffer

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"gateway"
)

func near(got, want float64) bool { return math.Abs(got-want) <= want*1e-9 }

func TestWearIsNothingWhereTheKernelDoesNotCount(t *testing.T) {
	t.Parallel()
	w := wear{read: func() uint64 { return 0 }}
	got := w.status(10, 1000, 5e12)
	if want := (gateway.WearStatus{Endurance: 5e12}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for text, want := range map[string]uint64{
		"": 0, "no numbers here": 0, "write_bytes: x\n": 0,
		"wchar: 7\nwrite_bytes: 8192\ncancelled_write_bytes: 4096\n": 4096,
		"write_bytes: 4096\ncancelled_write_bytes: 8192\n":           0, // somebody else's pages were cut off
	} {
		if got := parseWritten([]byte(text)); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
}

// TestWearIsAlwaysANumber: whatever was counted, JSON and a dashboard can show it.
func TestWearIsAlwaysANumber(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, written := range []uint64{0, 1, math.MaxUint64} {
			for _, took := range []time.Duration{0, wearLeast, 72 * time.Hour} {
				now := uint64(0)
				w := wear{read: func() uint64 { return now }}
				w.sample()
				<-time.After(took)
				now = written
				for _, n := range []uint64{0, 1, math.MaxUint64} {
					for _, endurance := range []int64{0, 1, math.MaxInt64} {
						s := w.status(n, n, endurance)
						for _, v := range []float64{s.PerEvent, s.PerPayloadByte, s.PerDay, s.Years} {
							if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
								t.Errorf("%d bytes in %s for %d events, endurance %d: got %+v", written, took, n, endurance, s)
							}
						}
					}
				}
			}
		}
	})
}

func TestWearOfTheLastDay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var written uint64
		w := wear{read: func() uint64 { return written }}
		run := func(d time.Duration, aSecond uint64) {
			for end := time.Now().Add(d); time.Now().Before(end); {
				<-time.After(time.Second)
				written += aSecond
				w.sample()
			}
		}
		written = 1 << 20 // of opening
		w.sample()
		run(30*time.Second, 100)
		if s := w.status(30, 3000, 1e9); s.PerDay != 0 || s.Years != 0 || s.Written != 1<<20+3000 {
			t.Errorf("after half a minute: got %+v, want no rate yet", s)
		}
		run(time.Hour, 100)
		if s := w.status(3630, 363000, 1e9); !near(s.PerDay, 100*86400) || !near(s.Years, 1e9/(100*86400*365.25)) {
			t.Errorf("after an hour: got %+v, want 8,640,000 a day and its years", s)
		} else if !near(s.PerEvent, float64(1<<20+363000)/3630) || !near(s.PerPayloadByte, float64(1<<20+363000)/363000) {
			t.Errorf("after an hour: got %+v, want what was written for each event and byte", s)
		}
		run(26*time.Hour, 1000)
		if s := w.status(1, 1, 0); !near(s.PerDay, 1000*86400) || s.Years != 0 {
			t.Errorf("a day after the load changed: got %+v, want the rate of the last day, and no years without an endurance", s)
		}
		if n := len(w.samples); n > 26 {
			t.Errorf("got %d samples kept, want one an hour of a day", n)
		}
	})
}

// TestWearWhileNobodyLooks: a log that was not asked for days knows a rate all the same, of the time since.
func TestWearWhileNobodyLooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		written := uint64(0)
		w := wear{read: func() uint64 { return written }}
		w.sample()
		<-time.After(72 * time.Hour)
		written = 3_000_000
		if s := w.status(1, 1, 0); !near(s.PerDay, 1e6) {
			t.Errorf("got %v a day, want 1000000", s.PerDay)
		}
	})
}

// wearChildDir has the test below write a known amount in a process of its own, of which the kernel counts nothing else.
const wearChildDir = "GATEWAY_BUFFER_TEST_WEAR"

// TestWearOfAKnownLoad: the commit of one small event is a page or a few. 8 MiB that no codec makes smaller are at least once
// in the write-ahead log, and with tables and their merging not ten times on the disk.
func TestWearOfAKnownLoad(t *testing.T) {
	t.Parallel()
	if dir := os.Getenv(wearChildDir); dir != "" {
		wearChild(t, dir)
		return
	}
	if _, err := os.Stat("/proc/self/io"); err != nil {
		t.Skip("this kernel does not count what a process writes")
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestWearOfAKnownLoad$", "-test.count=1")
	cmd.Env = append(os.Environ(), wearChildDir+"="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(dir, "wear.json"))
	if err != nil {
		t.Fatal(err)
	}
	var s struct{ Opened, Small, Large gateway.WearStatus }
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	if s.Large.Written == 0 {
		t.Skip("the temporary folder is on no block device")
	}
	small := (s.Small.Written - s.Opened.Written) / wearSmall
	if small < 64 || small > 32<<10 {
		t.Errorf("one event a commit: got %d bytes each, want a page or a few", small)
	}
	if p := s.Large.PerPayloadByte; p < 1 || p > 10 {
		t.Errorf("8 MiB: got %.2f bytes for each byte of payload, want 1 to 10: %+v", p, s.Large)
	}
	t.Logf("%d bytes for a small commit; %.2f bytes for a byte of payload in large ones", small, s.Large.PerPayloadByte)
}

// wearSmall is how many small events are committed one by one.
const wearSmall = 200

func wearChild(t *testing.T, dir string) {
	l := openLog(t, Options{Dir: filepath.Join(dir, "log")})
	var s struct{ Opened, Small, Large gateway.WearStatus }
	s.Opened = freshWear(t, l)
	for range wearSmall { // first: the engine merges large ones for a while after they were committed
		mustAppend(t, l, event("21.5"))
	}
	s.Small = freshWear(t, l)
	rng := rand.NewChaCha8([32]byte{1})
	data := make([]byte, 64<<10)
	for range 8 << 20 / len(data) {
		_, _ = rng.Read(data) // never fails
		mustAppend(t, l, event(string(data)))
	}
	s.Large = freshWear(t, l)
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "wear.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// freshWear is the log's wear as the kernel counts it now.
func freshWear(t *testing.T, l *Log) gateway.WearStatus {
	t.Helper()
	now := writtenByUs()
	waitFor(t, "a fresh sample", func() bool { return l.Status().Wear.Written >= now })
	return l.Status().Wear
}

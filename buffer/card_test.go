package buffer

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"gateway"
)

const (
	// cardDir has the test below work in a process of its own, of which the kernel counts nothing else.
	cardDir = "GATEWAY_BUFFER_TEST_CARD"
	// modestCard is what a card of 32 GB can take when its cells can be written 300 times.
	modestCard = 10e12
	// cardRate is how many events of cardPayload bytes come a second.
	cardRate, cardPayload = 10, 200
)

// TestTheCardLastsForYears is named for what others hear from their users: cards wear out in months. At ten events a second an
// event costs no more than docs/flash.md says, and the projection of a modest card is years, with every event synced at
// once and more so with commit_interval. (Without the card's own amplification, as docs/flash.md says too.)
func TestTheCardLastsForYears(t *testing.T) {
	t.Parallel()
	if dir := os.Getenv(cardDir); dir != "" {
		cardChild(t, dir)
		return
	}
	if _, err := os.Stat("/proc/self/io"); err != nil {
		t.Skip("this kernel does not count what a process writes")
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestTheCardLastsForYears$", "-test.count=1")
	cmd.Env = append(os.Environ(), cardDir+"="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(dir, "card.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cost struct{ AtOnce, Gathered float64 }
	if err := json.Unmarshal(text, &cost); err != nil {
		t.Fatal(err)
	}
	if cost.AtOnce == 0 {
		t.Skip("the temporary folder is on no block device")
	}
	for _, c := range []struct {
		name           string
		bytes, atMost  float64
		years, atLeast float64
	}{
		{"commit_interval 0s", cost.AtOnce, 5 << 10, projected(t, cost.AtOnce), 5},
		{"commit_interval 1s", cost.Gathered, 1 << 10, projected(t, cost.Gathered), 25},
	} {
		t.Logf("%s: %.0f bytes an event, %.1f years of a card of 10 TB", c.name, c.bytes, c.years)
		if c.bytes > c.atMost || c.years < c.atLeast {
			t.Errorf("%s: got %.0f bytes an event and %.1f years, want %.0f at most and %.0f at least", c.name, c.bytes, c.years, c.atMost, c.atLeast)
		}
	}
}

// projected is what a gateway would show after a day of such events.
func projected(t *testing.T, perEvent float64) (years float64) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		start := time.Now()
		events := func() float64 { return time.Since(start).Seconds() * cardRate }
		w := wear{read: func() uint64 { return uint64(events() * perEvent) }}
		for range 24 {
			w.sample()
			<-time.After(time.Hour)
		}
		years = w.status(uint64(events()), uint64(events()*cardPayload), modestCard).Years
	})
	return years
}

// cardChild writes down what an event costs when each is committed at once, and when ten are committed together, as in a second.
func cardChild(t *testing.T, dir string) {
	var cost struct{ AtOnce, Gathered float64 }
	cost.AtOnce = costOfEvents(t, filepath.Join(dir, "at-once"), 0, 1, 1000)
	// A tenth of the interval for ten times the rate: the same ten events a commit, in a test of seconds.
	cost.Gathered = costOfEvents(t, filepath.Join(dir, "gathered"), 100*time.Millisecond, cardRate, 300)
	text, err := json.Marshal(cost)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "card.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// costOfEvents appends count events, together at a time, with a cursor behind them so that they are deleted again, and returns
// what each was to the kernel.
func costOfEvents(t *testing.T, dir string, interval time.Duration, together, count int) float64 {
	t.Helper()
	l := openLog(t, Options{Dir: dir, CommitInterval: interval})
	rng := rand.New(rand.NewPCG(1, 2))
	before := freshWear(t, l).Written
	for done := 0; done < count; done += together {
		b := gateway.Batch{Cursors: []gateway.CursorMove{{Name: "up", Offset: gateway.Offset(done)}}}
		for range together {
			b.Events = append(b.Events, event(reading(rng)))
		}
		if _, err := l.Commit(context.Background(), b); err != nil {
			t.Fatal(err)
		}
	}
	return float64(freshWear(t, l).Written-before) / float64(count)
}

// reading is JSON of cardPayload bytes with numbers that no codec can guess.
func reading(rng *rand.Rand) string {
	text := `{"values":[`
	for len(text) < cardPayload-12 {
		text += fmt.Sprintf("%.4f,", 20+rng.Float64())
	}
	return fmt.Sprintf("%-*s", cardPayload, text+"0]}")
}

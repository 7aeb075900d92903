package buffer

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"gateway"
)

// TestOneEventAnIntervalForWhoWaits: a sender with one event in flight gets one acknowledgement an interval, which is what
// docs/flash.md says that it costs.
func TestOneEventAnIntervalForWhoWaits(t *testing.T) {
	t.Parallel()
	const interval, n = 200 * time.Millisecond, 5
	l := openLog(t, Options{CommitInterval: interval})
	start := time.Now()
	for range n {
		mustAppend(t, l, event("21.5"))
	}
	if took := time.Since(start); took < (n-1)*interval {
		t.Errorf("%d events one after the other took %s, want %s at least", n, took, (n-1)*interval)
	}
	if s := l.Status(); s.Commits < n {
		t.Errorf("got %d commits, want one for each event", s.Commits)
	}
}

// TestHalfAGroupDoesNotWait: however long the interval is, memory does not fill for it.
func TestHalfAGroupDoesNotWait(t *testing.T) {
	t.Parallel()
	l := openLog(t, Options{CommitInterval: time.Minute})
	mustCommit(t, l, gateway.Batch{Events: []gateway.Event{event(string(make([]byte, groupBound/2)))}})
	start := time.Now()
	mustCommit(t, l, gateway.Batch{Events: []gateway.Event{event(string(make([]byte, groupBound/2)))}})
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("half a group waited %s", took)
	}
}

// TestNothingIsAcknowledgedBeforeItsCommit: who waits is told after the transaction, which is synced: not when his event was
// taken, and not when the interval is over.
func TestNothingIsAcknowledgedBeforeItsCommit(t *testing.T) {
	t.Parallel()
	for _, interval := range []time.Duration{0, 100 * time.Millisecond} {
		g := newGate()
		l := openLog(t, Options{CommitInterval: interval, hooks: hooks{beforeCommit: g.hook}})
		var acked atomic.Int64
		for round := range int64(3) { // the first commit does not wait for an interval, the others do
			for range 10 {
				err := l.Submit(testContext(t), gateway.Batch{Events: []gateway.Event{event("21.5")}}, func(_ gateway.Offset, err error) {
					if err == nil {
						acked.Add(1)
					}
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			passed := false
			waitFor(t, "ten acknowledgements", func() bool {
				select {
				case <-g.entered:
					if n := acked.Load(); !passed && n != round*10 {
						t.Errorf("interval %s: got %d acknowledged, want %d before the commit", interval, n, round*10)
					}
					passed = true
					g.pass <- nil
				default:
				}
				return acked.Load() == (round+1)*10
			})
		}
		g.open()
	}
}

// intervalDir has the test below gather events in a process that is killed.
const intervalDir = "GATEWAY_BUFFER_TEST_INTERVAL"

// TestWhatAnIntervalCosts: a process that is killed while events gather has lost those, and acknowledged none of them. A device
// with QoS 1 sends them again; with QoS 0 they are gone, as docs/flash.md says.
func TestWhatAnIntervalCosts(t *testing.T) {
	t.Parallel()
	if dir := os.Getenv(intervalDir); dir != "" {
		gatherForEver(t, dir)
		return
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestWhatAnIntervalCosts$", "-test.count=1")
	cmd.Env = append(os.Environ(), intervalDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acked, lines := 0, bufio.NewScanner(out)
	for lines.Scan() {
		switch lines.Text() {
		case "acknowledged":
			acked++
		case "gathering":
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the child ended by itself")
	}
	l := openLog(t, Options{Dir: dir})
	if s := l.Status(); acked != 1 || s.Last != 1 {
		t.Errorf("got %d acknowledged and a log that ends at %d, want the one event that did not have to wait", acked, s.Last)
	}
}

func gatherForEver(t *testing.T, dir string) {
	l, err := Open(Options{Dir: dir, CommitInterval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, event("1")) // no commit was less than a minute ago
	fmt.Println("acknowledged")
	for range 100 {
		err := l.Submit(testContext(t), gateway.Batch{Events: []gateway.Event{event("2")}}, func(gateway.Offset, error) { fmt.Println("acknowledged") })
		if err != nil {
			t.Fatal(err)
		}
	}
	fmt.Println("gathering")
	<-testContext(t).Done() // the parent kills us before
}

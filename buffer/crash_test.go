package buffer

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"gateway"
)

// childDir names the directory for a child process of this test binary, which appends to a log there until it is killed.
const childDir = "GATEWAY_BUFFER_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Fprintln(os.Stderr, childAppends(dir))
		os.Exit(1)
	}
	checks := "4"
	if raceEnabled {
		checks = "2"
	}
	if err := flag.Set("rapid.checks", checks); err != nil { // each opens logs; -rapid.checks on the command line wins
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// childAppends writes a line for each acknowledgement: the number of the event and its offset. A cursor follows some way
// behind, so that there is trimming too.
func childAppends(dir string) error {
	l, err := Open(Options{Dir: dir})
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	if _, err := l.Commit(context.Background(), gateway.Batch{Cursors: []gateway.CursorMove{{Name: "up", Offset: l.durable() / 2}}}); err != nil {
		return err
	}
	slots := make(chan struct{}, 100)
	for n := int(l.durable()) + 1; ; n++ {
		slots <- struct{}{}
		b := gateway.Batch{Events: []gateway.Event{event(strconv.Itoa(n))}}
		if n%50 == 0 {
			b.Cursors = []gateway.CursorMove{{Name: "up", Offset: gateway.Offset(n / 2)}}
		}
		err := l.Submit(context.Background(), b, func(last gateway.Offset, err error) {
			if err == nil {
				fmt.Fprintln(out, n, last)
			}
			if len(slots) == 1 || n%10 == 0 {
				_ = out.Flush() // the parent kills us in the middle of it
			}
			<-slots
		})
		if err != nil {
			return err
		}
	}
}

func startChild(t *testing.T, dir string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

// TestKilledUnderLoad kills a process that appends, several times: every acknowledged event is there, at its offset,
// and the log goes on behind it.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	acked := gateway.Offset(0)
	for round := range 5 {
		cmd, lines := startChild(t, dir)
		for more := 200 + rng.IntN(3000); lines.Scan(); more-- {
			var n, offset gateway.Offset
			if _, err := fmt.Sscan(lines.Text(), &n, &offset); err != nil || !strings.HasSuffix(lines.Text(), fmt.Sprint(offset)) {
				continue // the line that was cut
			}
			if n != offset {
				t.Fatalf("round %d: event %d was acknowledged at offset %d", round, n, offset)
			}
			if more > 0 {
				acked = max(acked, offset) // later lines may be cut within their last number
			}
			if more == 0 {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the child ended by itself")
		}
		acked = checkAfterKill(t, dir, acked)
	}
}

// checkAfterKill returns the last offset of the log, all of which is durable now.
func checkAfterKill(t *testing.T, dir string, acked gateway.Offset) gateway.Offset {
	t.Helper()
	l := openLog(t, Options{Dir: dir})
	defer closeLog(t, l)
	s := l.Status()
	if s.Last < acked {
		t.Fatalf("offset %d was acknowledged, the log ends at %d", acked, s.Last)
	}
	if s.First > s.Last/2+1 {
		t.Errorf("got first %d of %d: more was trimmed than the cursor passed", s.First, s.Last)
	}
	for _, e := range readTo(t, l, s.First-1, s.Last) {
		if string(e.Event.Data) != fmt.Sprint(e.Offset) {
			t.Fatalf("offset %d has event %s", e.Offset, e.Event.Data)
		}
	}
	return s.Last
}

func TestSecondProcessIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd, lines := startChild(t, dir)
	if !lines.Scan() { // it has the directory
		t.Fatal("the child said nothing")
	}
	_, err := Open(Options{Dir: dir})
	want := fmt.Sprintf("data directory %s is in use by process %d: stop it or choose another data_dir", dir, cmd.Process.Pid)
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	_ = cmd.Wait() // killed
	openLog(t, Options{Dir: dir})
}

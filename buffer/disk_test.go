package buffer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gateway"
)

// onDisk appends numbered, incompressible events of 20 KB until the log is full, and returns how many were acknowledged.
func onDisk(t *testing.T, l *Log, from int, watch func()) int {
	t.Helper()
	data := newNoise(1)
	for n := from; ; n += 10 {
		events := make([]gateway.Event, 10)
		for i := range events {
			events[i] = event(fmt.Sprintf("%d %s", n+i+1, data.bytes(20<<10)))
		}
		last, err := l.Append(testContext(t), events...)
		watch()
		if errors.Is(err, gateway.ErrFull) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		if last != gateway.Offset(n+10) {
			t.Fatalf("got offset %d, want %d", last, n+10)
		}
	}
}

// isNumbered checks that the entry is what onDisk or the child appended.
func isNumbered(e *gateway.Entry) bool {
	return strings.HasPrefix(string(e.Event.Data), fmt.Sprintf("%d ", e.Offset))
}

// TestFullDiskByOurselvesRefuses fills a disk that is smaller than max_size: the log stops in time, delivers on, and
// takes events again when there is room.
func TestFullDiskByOurselvesRefuses(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "tmpfs", 160<<20)
	if disk == "" {
		return
	}
	o := Options{Dir: filepath.Join(disk, "data"), MaxSize: 1 << 30, Reserve: 48 << 20}
	l := openLog(t, o)
	settle(t, l, "up", 0)
	least := freeOn(t, disk)
	n := onDisk(t, l, 0, func() { least = min(least, freeOn(t, disk)) })
	s := l.Status()
	if s.FullReason != gateway.FullDisk || s.Last != gateway.Offset(n) || n < 1000 {
		t.Errorf("got %d events and status %+v, want a full disk", n, s)
	}
	if least < o.Reserve/2 {
		t.Errorf("only %s were left, want about the reserve of %s", mib(least), mib(o.Reserve))
	}
	closeLog(t, l)
	l = openLog(t, o)
	for _, e := range readTo(t, l, 0, gateway.Offset(n)) {
		if !isNumbered(&e) {
			t.Fatalf("offset %d has another event", e.Offset)
		}
	}
	settle(t, l, "up", gateway.Offset(n)) // delivered
	waitFor(t, "room", func() bool { return !l.Status().Full })
	more := onDisk(t, l, n, func() {})
	if more-n < n/2 {
		t.Errorf("got %d more events after %d were delivered", more-n, n)
	}
	t.Logf("%d events, then %d; %s were left at least", n, more-n, mib(least))
}

// TestFullDiskByOurselvesDropsTheOldest is the same where the oldest go: intake goes on.
func TestFullDiskByOurselvesDropsTheOldest(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "tmpfs", 160<<20)
	if disk == "" {
		return
	}
	o := Options{Dir: filepath.Join(disk, "data"), MaxSize: 1 << 30, Reserve: 48 << 20, DropOldest: true}
	l := openLog(t, o)
	settle(t, l, "up", 0)
	least, n, refused := freeOn(t, disk), 0, 0
	for n < 20_000 { // 400 MB
		n = onDiskSome(t, l, n, 2000, func() { least = min(least, freeOn(t, disk)) })
		if l.Status().Full {
			refused++
			waitFor(t, "room", func() bool { return !l.Status().Full })
		}
	}
	s := l.Status()
	if s.Lost[gateway.LostFull] == 0 || s.Lost[gateway.LostFull] != uint64(s.First-1) || len(s.Gaps) != 1 || s.Gaps[0].To != s.First-1 {
		t.Errorf("got status %+v, want one gap up to the first event", s)
	}
	if least < o.Reserve/2 {
		t.Errorf("only %s were left, want about the reserve of %s", mib(least), mib(o.Reserve))
	}
	t.Logf("%d events, the oldest %d dropped; %s were left at least; refused %d times", n, s.First-1, mib(least), refused)
}

// onDiskSome is onDisk for at most some events.
func onDiskSome(t *testing.T, l *Log, from, some int, watch func()) int {
	t.Helper()
	data := newNoise(2)
	for n := from; n < from+some; n += 10 {
		events := make([]gateway.Event, 10)
		for i := range events {
			events[i] = event(fmt.Sprintf("%d %s", n+i+1, data.bytes(20<<10)))
		}
		_, err := l.Append(testContext(t), events...)
		watch()
		if errors.Is(err, gateway.ErrFull) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return from + some
}

// TestFullDiskDoesNotKillTheLog has a neighbour fill the disk while a process appends as fast as it can. It goes on, or, if the
// kernel ends it, loses nothing that it acknowledged; and it takes events again when there is room.
func TestFullDiskDoesNotKillTheLogOnTmpfs(t *testing.T) {
	t.Parallel()
	if disk := smallDisk(t, "tmpfs", 200<<20); disk != "" {
		testNeighbour(t, disk)
	}
}

func TestFullDiskDoesNotKillTheLogOnExt4(t *testing.T) {
	t.Parallel()
	if disk := smallDisk(t, "ext4", 200<<20); disk != "" {
		testNeighbour(t, disk)
	}
}

func testNeighbour(t *testing.T, disk string) {
	data := filepath.Join(disk, "data")
	killed := 0
	for round := range 3 {
		c := startDiskChild(t, data)
		start := c.acked.Load()
		waitFor(t, "appends", func() bool { return c.acked.Load() > start+500 })
		neighbour := fillDisk(t, disk)
		waitFor(t, "refusal or death", func() bool { return c.full.Load() || c.dead() })
		if c.dead() {
			killed++
			t.Logf("round %d: the kernel ended the process: %v", round, c.err)
		}
		full := c.acked.Load()
		if !c.dead() {
			waitFor(t, "the disk to be full for a while", func() bool { return c.refusals.Load() > 20 || c.dead() })
		}
		if err := os.Remove(neighbour); err != nil {
			t.Fatal(err)
		}
		if !c.dead() {
			waitFor(t, "appends after the neighbour left", func() bool { return c.acked.Load() > full+200 || c.dead() })
		}
		c.kill(t)
		checkDisk(t, data, gateway.Offset(c.acked.Load()))
	}
	// A neighbour who is faster than one look at the disk can be so once. Without what preallocate.go does it is nearly always.
	t.Logf("the kernel ended the process in %d rounds of 3", killed)
	if killed > 1 {
		t.Errorf("the kernel ended the process in %d rounds of 3", killed)
	}
}

// checkDisk opens the log that a child left: every acknowledged event is there.
func checkDisk(t *testing.T, dir string, acked gateway.Offset) {
	t.Helper()
	l := openLog(t, Options{Dir: dir, MaxSize: 1 << 30, Reserve: 40 << 20})
	defer closeLog(t, l)
	s := l.Status()
	if s.Last < acked {
		t.Fatalf("offset %d was acknowledged, the log ends at %d", acked, s.Last)
	}
	for _, e := range readTo(t, l, s.First-1, s.Last) {
		if !isNumbered(&e) {
			t.Fatalf("offset %d has another event", e.Offset)
		}
	}
	settle(t, l, "up", s.Last) // room for the next round
}

// diskChildDir is where the child of testNeighbour has its log.
const diskChildDir = "GATEWAY_BUFFER_TEST_DISK_CHILD"

// TestDiskChild is that child: it appends as fast as it can, and says what it has been told.
func TestDiskChild(t *testing.T) {
	dir := os.Getenv(diskChildDir)
	if dir == "" {
		t.Skip("not a child")
	}
	l, err := Open(Options{Dir: dir, MaxSize: 1 << 30, Reserve: 40 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := l.Cursor("up"); !ok {
		settle(t, l, "up", 0)
	}
	data := newNoise(byte(os.Getpid()))
	out := os.Stdout
	tick := time.NewTicker(10 * time.Millisecond)
	for n := int(l.durable()); ; {
		events := make([]gateway.Event, 10)
		for i := range events {
			events[i] = event(fmt.Sprintf("%d %s", n+i+1, data.bytes(8<<10)))
		}
		b := gateway.Batch{Events: events, Cursors: []gateway.CursorMove{{Name: "up", Offset: gateway.Offset(n) / 2}}}
		last, err := l.Commit(context.Background(), b)
		if errors.Is(err, gateway.ErrFull) {
			fmt.Fprintln(out, "full", l.Status().FullReason)
			// Delivery goes on.
			_, err := l.Commit(context.Background(), gateway.Batch{KV: []gateway.KeyValue{{Key: "dead", Value: []byte("x")}}})
			if err != nil {
				t.Fatal(err)
			}
			<-tick.C
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		n = int(last)
		fmt.Fprintln(out, "acked", last)
	}
}

// diskChild is the parent's side.
type diskChild struct {
	cmd      *exec.Cmd
	acked    atomic.Uint64
	refusals atomic.Uint64
	full     atomic.Bool
	ended    chan struct{}
	err      error // once ended
}

func startDiskChild(t *testing.T, dir string) *diskChild {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestDiskChild$", "-test.timeout=200s")
	cmd.Env = append(os.Environ(), diskChildDir+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &diskChild{cmd: cmd, ended: make(chan struct{})}
	go func() {
		defer close(c.ended)
		var other []string
		for lines := bufio.NewScanner(pipe); lines.Scan(); {
			word, rest, _ := strings.Cut(lines.Text(), " ")
			switch word {
			case "acked":
				if n, err := strconv.ParseUint(rest, 10, 64); err == nil {
					c.acked.Store(n)
					c.full.Store(false)
				}
			case "full":
				c.full.Store(rest == gateway.FullDisk)
				c.refusals.Add(1)
			default:
				other = append(other, lines.Text())
			}
		}
		if err := cmd.Wait(); err != nil {
			text := stderr.String()
			c.err = fmt.Errorf("%w: %s %s", err, strings.Join(other, "\n"), text[:min(len(text), 1500)])
		}
	}()
	return c
}

func (c *diskChild) dead() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

func (c *diskChild) kill(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	<-c.ended
}

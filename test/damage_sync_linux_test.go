package test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	vocabulary "gateway"
	"gateway/buffer"
	"gateway/internal/load/wire"
	"gateway/test/rig"
)

// TestSyncErrorsStopTheAcknowledgements has the kernel answer EIO to the real gateway, from the first or from a later call on: nothing is
// acknowledged that the next start does not have. Where the write-ahead log cannot be synced, the very next publish is not
// acknowledged, and the process says so and ends, for its supervisor to start it again.
func TestSyncErrorsStopTheAcknowledgements(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("strace"); err != nil {
		missing(t, "strace is not installed (apt-get install strace)")
	}
	for _, c := range []struct {
		name, inject string
		path         string // of the data directory, to which alone it happens; "": to everything
		size         int    // of a payload
		most         int    // acknowledgements after the injection began, -1: any number
		ends         bool   // the process ends by itself
	}{
		{"the first msync", "msync:error=EIO:when=1+", "", 20, 0, true},
		{"the 20th msync", "msync:error=EIO:when=20+", "", 20, 149, true}, // strace counts for each thread
		// Tables are synced with fsync. While they cannot be written, everything is in the write-ahead logs, until those are full.
		{"every fsync", "fsync,fdatasync:error=EIO:when=1+", "", 200_000, -1, false},
		{"the third fsync", "fsync,fdatasync:error=EIO:when=3+", "", 200_000, -1, false},
		{"every write of the MANIFEST", "write,pwrite64:error=EIO:when=1+", "badger/MANIFEST", 200_000, -1, false},
		// The next write-ahead log cannot be made.
		{"every fallocate", "fallocate:error=EIO:when=1+", "", 200_000, 149, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g := gateway(t)
			b := start(t, &g)
			p := connect(t, b.Addr, c.size)
			for range 30 {
				if !p.publish(t, 10*time.Second) {
					t.Fatalf("not acknowledged before anything was wrong: %s", b.Tail())
				}
			}
			stop := inject(t, b.PID(), c.inject, filepath.Join(g.Data(), c.path))
			before := len(p.acked)
			for range 150 {
				if !p.publish(t, 5*time.Second) {
					break
				}
			}
			after := len(p.acked) - before
			t.Logf("%d acknowledgements after the injection", after)
			if c.most >= 0 && after > c.most {
				t.Errorf("got %d acknowledgements after the injection, want %d at most", after, c.most)
			}
			if c.ends {
				wantEnd(t, b, 1, "log stopped: nothing is accepted", "the log has failed")
			}
			stop()
			b.Kill()
			// A process that ends while nothing can be synced may leave a table that the MANIFEST does not name: the next start looks into it.
			mended := !c.ends || strings.HasPrefix(c.inject, "msync")
			wantStored(t, g.Data(), p.acked, mended)
			if said, err := os.ReadFile(b.Log); err != nil || !c.ends && !strings.Contains(string(said), "input/output error") {
				t.Errorf("it does not say what is wrong, %v: %s", err, said)
			}
			again := start(t, &g)
			if !connect(t, again.Addr, 20).publish(t, 10*time.Second) {
				t.Errorf("nothing is acknowledged after the restart: %s", again.Tail())
			}
		})
	}
}

// publisher publishes one event at a time.
type publisher struct {
	conn   net.Conn
	r      *wire.Reader
	rng    *rand.ChaCha8
	size   int
	number int
	acked  map[string]bool
}

func connect(t *testing.T, addr string, size int) *publisher {
	t.Helper()
	conn, _, err := wire.Dial(addr, wire.Options{ClientID: "publisher"}, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &publisher{conn: conn, r: wire.NewReader(conn, 4096), rng: rand.NewChaCha8([32]byte{1}), size: size, acked: map[string]bool{}}
}

// publish says whether the next event was acknowledged in time.
func (p *publisher) publish(t *testing.T, patience time.Duration) bool {
	t.Helper()
	p.number++
	name := fmt.Sprintf("event-%06d", p.number)
	payload := make([]byte, p.size)
	_, _ = p.rng.Read(payload)
	copy(payload, name)
	if err := p.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	id := uint16(p.number)
	if _, err := p.conn.Write(wire.AppendPublish(nil, "t", id, 1, false, payload)); err != nil {
		return false
	}
	first, body, err := p.r.Next()
	if err != nil || first != wire.Puback {
		return false
	}
	if got, err := wire.ID(body); err != nil || got != id {
		t.Fatalf("acknowledgement of %d, %v, want %d", got, err, id)
	}
	p.acked[name] = true
	return true
}

// inject has strace change what system calls of the process return, for a file or, if path is a folder, for everything, until stop.
func inject(t *testing.T, pid int, what, path string) (stop func()) {
	t.Helper()
	calls, _, _ := strings.Cut(what, ":")
	messages := filepath.Join(t.TempDir(), "strace")
	out, err := os.Create(messages)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	args := []string{"-f", "-o", messages + ".trace", "-e", "trace=" + calls, "-e", "inject=" + what, "-p", strconv.Itoa(pid)}
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
		args = append(args, "-P", path)
	}
	cmd := exec.Command("strace", args...)
	cmd.Stderr = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if !rig.Poll(t.Context(), 20*time.Second, func() bool {
		said, err := os.ReadFile(messages)
		return err == nil && strings.Contains(string(said), "attached")
	}) {
		t.Fatal("strace does not attach")
	}
	return func() {
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		_ = cmd.Wait() // ended by our signal, or with the process
		trace, err := os.ReadFile(messages + ".trace")
		if n := strings.Count(string(trace), "INJECTED"); err != nil || n == 0 {
			t.Errorf("strace has changed nothing: %v", err)
		}
	}
}

// wantStored wants every acknowledged event in the log of a gateway that does not run. Its files may be broken if mayBroken is set: then
// everything is salvaged from them.
func wantStored(t *testing.T, dir string, acked map[string]bool, mayBroken bool) {
	t.Helper()
	log, err := buffer.Open(buffer.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if r := log.Report(); len(r.Gone) > 0 || !r.Sound() && !mayBroken {
		t.Errorf("the log was damaged: %+v", r)
	}
	stored := map[string]int{}
	r := log.NewReader(0)
	defer r.Close()
	for last, at := log.Status().Last, vocabulary.Offset(0); at < last; {
		entries, err := r.Next(t.Context(), 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			at = e.Offset
			stored[string(e.Event.Data[:min(12, len(e.Event.Data))])]++
		}
	}
	for name := range acked {
		if stored[name] != 1 {
			t.Fatalf("%s was acknowledged and is stored %d times", name, stored[name])
		}
	}
}

func wantTexts(t *testing.T, said string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(said, text) {
			t.Errorf("it does not say %q: %s", text, said)
		}
	}
}

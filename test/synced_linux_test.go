package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gateway/internal/load/wire"
	"gateway/test/rig"
)

// TestAcknowledgedAfterTheSync watches the system calls of the real process: between a PUBLISH and its PUBACK an msync of the
// log's write-ahead file has to return. kill -9 cannot show that, as it leaves the page cache. A binary that does not sync is
// the proof that the test can fail.
func TestAcknowledgedAfterTheSync(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("strace"); err != nil {
		missing(t, "strace is not installed (apt-get install strace)")
	}
	t.Run("as built", func(t *testing.T) {
		t.Parallel()
		if acks, unsynced := watchAcks(t, program); acks < 30 || unsynced > 0 {
			t.Errorf("got %d acknowledgements, %d of them without a sync before, want 30 and 0", acks, unsynced)
		}
	})
	t.Run("without syncs", func(t *testing.T) {
		t.Parallel()
		if acks, unsynced := watchAcks(t, buildUnsynced(t)); acks < 30 || unsynced < acks*9/10 {
			t.Errorf("got %d acknowledgements, %d of them without a sync before, want 30, and the test to see it", acks, unsynced)
		}
	})
}

// buildUnsynced builds the gateway with an engine that does not sync.
func buildUnsynced(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	source, err := filepath.Abs("../buffer/engine_options.go")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(text, []byte("WithSyncWrites(true)"), []byte("WithSyncWrites(false)"), 1)
	if bytes.Equal(changed, text) {
		t.Fatal("the engine's options do not say WithSyncWrites(true)")
	}
	copied, overlay, binary := filepath.Join(dir, "options.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "gateway")
	writeFile(t, copied, changed)
	writeFile(t, overlay, fmt.Appendf(nil, `{"Replace":{%q:%q}}`, source, copied))
	build := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "-o", binary, "../cmd/gateway")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	return binary
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// watchAcks publishes 30 times, one at a time, and counts the PUBACKs, and those before which no sync returned.
func watchAcks(t *testing.T, binary string) (acks, unsynced int) {
	t.Helper()
	g := gateway(t)
	g.Program = binary
	b := start(t, &g)
	conn, _, err := wire.Dial(b.Addr, wire.Options{ClientID: "watched"}, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	trace := filepath.Join(t.TempDir(), "trace")
	stop := attach(t, b.PID(), trace)
	r := wire.NewReader(conn, 4096)
	for i := range 30 {
		if _, err := conn.Write(wire.AppendPublish(nil, "t", uint16(i+1), 1, false, []byte("x"))); err != nil {
			t.Fatal(err)
		}
		if first, _, err := r.Next(); err != nil || first != wire.Puback {
			t.Fatalf("acknowledgement %d: packet 0x%02x, %v", i+1, first, err)
		}
	}
	stop()
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	return countAcks(t, string(text), journals(t, b.PID()))
}

// attach has strace write the process's syncs and writes to a file until stop.
func attach(t *testing.T, pid int, trace string) (stop func()) {
	t.Helper()
	cmd := exec.Command("strace", "-f", "-o", trace, "-e", "trace=msync,write", "-p", strconv.Itoa(pid))
	messages, err := os.Create(trace + ".err")
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Close()
	cmd.Stderr = messages
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if !rig.Poll(t.Context(), 20*time.Second, func() bool {
		said, err := os.ReadFile(trace + ".err")
		return err == nil && bytes.Contains(said, []byte("attached"))
	}) {
		t.Fatal("strace does not attach")
	}
	return func() {
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // ended by our signal
	}
}

// span is a mapping of memory.
type span struct{ from, to uint64 }

// journals are the mappings of the engine's write-ahead files.
func journals(t *testing.T, pid int) (spans []span) {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		var s span
		if !strings.HasSuffix(strings.TrimSpace(line), ".mem") {
			continue
		}
		if _, err := fmt.Sscanf(line, "%x-%x", &s.from, &s.to); err != nil {
			t.Fatal(err)
		}
		spans = append(spans, s)
	}
	if len(spans) == 0 {
		t.Fatalf("the process has no write-ahead file mapped: %s", maps)
	}
	return spans
}

var (
	msyncCall = regexp.MustCompile(`^(\d+) +msync\(0x([0-9a-f]+)`)
	msyncEnd  = regexp.MustCompile(`^(\d+) +(?:msync\(|<\.\.\. msync resumed>).*= 0$`)
	ackCall   = regexp.MustCompile(`^\d+ +write\(\d+, "@\\2`)
)

// countAcks reads a trace: an msync counts when it returned, an acknowledgement when it is written.
func countAcks(t *testing.T, trace string, journals []span) (acks, unsynced int) {
	t.Helper()
	synced, under := false, map[string]bool{} // by thread: its msync is of a journal
	for line := range strings.Lines(trace) {
		line = strings.TrimSuffix(line, "\n")
		if m := msyncCall.FindStringSubmatch(line); m != nil {
			at, err := strconv.ParseUint(m[2], 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			under[m[1]] = false
			for _, s := range journals {
				under[m[1]] = under[m[1]] || at >= s.from && at < s.to
			}
		}
		if m := msyncEnd.FindStringSubmatch(line); m != nil && under[m[1]] {
			synced = true
		}
		if ackCall.MatchString(line) {
			acks++
			if !synced {
				unsynced++
			}
			synced = false
		}
	}
	return acks, unsynced
}

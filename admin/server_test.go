package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gateway"
)

// asStranger makes this test binary ask for the status at a socket and print the error.
const asStranger = "ADMIN_TEST_AS_STRANGER"

func TestMain(m *testing.M) {
	if socket := os.Getenv(asStranger); socket != "" {
		_, err := NewClient(socket).Status(context.Background())
		fmt.Printf("permission=%v running=%v %v\n", errors.Is(err, fs.ErrPermission), !errors.Is(err, ErrNotRunning), err)
		return
	}
	os.Exit(m.Run())
}

func TestStatusThroughTheSocket(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t.TempDir(), nil)
	w.fill(t, 5)
	got, err := w.client.Status(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	want := w.server.Status()
	// What moves by itself between two looks.
	got.Log.Clock, got.Log.Wear, got.Log.Bytes = want.Log.Clock, want.Log.Wear, want.Log.Bytes
	got.Started = want.Started
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-server +client):\n%s", diff)
	}
	if got.PID != os.Getpid() || got.Log.Last != 5 || got.Version != "1.2.3" || got.Forwarders[0].Name != "cloud" {
		t.Errorf("got %+v", got)
	}
}

func TestSocketIsForItsUserAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	newWorld(t, dir, nil)
	info, err := os.Stat(filepath.Join(dir, SocketName))
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Fatalf("got %v, %v; want a socket with mode 0600", info.Mode(), err)
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Where the stranger can get at the program and the folder, as with a data directory that somebody opened up.
	public := filepath.Join(dir, "program")
	if err := copyFile(public, self); err != nil {
		t.Fatal(err)
	}
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(public)
	cmd.Env = []string{asStranger + "=" + filepath.Join(dir, SocketName)}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "permission=true running=true") || !strings.Contains(string(out), "use sudo") {
		t.Errorf("got %s, %v; want that permission is denied, and what to do", out, err)
	}
}

func copyFile(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o755)
}

func TestSocketOfADeadProcessIsReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, SocketName)
	client := NewClient(path)
	if _, err := client.Status(testContext(t)); !errors.Is(err, ErrNotRunning) {
		t.Errorf("without a socket: got %v, want ErrNotRunning", err)
	}
	dead, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	dead.Close()
	if _, err := client.Status(testContext(t)); !errors.Is(err, ErrNotRunning) {
		t.Errorf("with a dead socket: got %v, want ErrNotRunning", err)
	}
	w := newWorld(t, dir, nil)
	if _, err := client.Status(testContext(t)); err != nil {
		t.Error(err)
	}
	w.stop()
	<-w.done
	w.done <- nil
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the stop: got %v, want no socket", err)
	}
}

func TestWhatIsNotASocketIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, SocketName)
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := New(Options{}).ListenSocket(dir); err == nil || !strings.Contains(err.Error(), "is not a socket: move it away") {
		t.Errorf("got %v", err)
	}
	if data, err := os.ReadFile(path); string(data) != "mine" {
		t.Errorf("got %q, %v; want the file as it was", data, err)
	}
}

func TestSocketWithALongPath(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 60))
	w := newWorld(t, dir, nil)
	w.fill(t, 1)
	if st, err := w.client.Status(testContext(t)); err != nil || st.Log.Last != 1 {
		t.Errorf("got %+v, %v", st, err)
	}
	w.stop()
	<-w.done
	w.done <- nil
	if _, err := os.Lstat(filepath.Join(dir, SocketName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the stop: got %v, want no socket", err)
	}
	if _, err := w.client.Status(testContext(t)); !errors.Is(err, ErrNotRunning) {
		t.Errorf("got %v, want ErrNotRunning", err)
	}
}

func TestStopTellsThoseWhoFollowAndWaitsForRequests(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	w := newWorld(t, t.TempDir(), func(w *world) {
		w.log.verify = func(ctx context.Context, progress func(done, total uint64)) (gateway.LogReport, error) {
			defer close(ended)
			progress(1, 2)
			<-ctx.Done()
			return gateway.LogReport{}, ctx.Err()
		}
	})
	w.fill(t, 1)
	following, verifying := make(chan error, 1), make(chan error, 1)
	seen, begun := make(chan struct{}), make(chan struct{})
	go func() {
		following <- w.client.Events(testContext(t), gateway.Query{Follow: true}, func(gateway.Entry) error { close(seen); return nil })
	}()
	go func() {
		_, err := w.client.Verify(testContext(t), func(done, total uint64) { close(begun) })
		verifying <- err
	}()
	<-seen
	<-begun
	if _, _, err := w.client.Compact(testContext(t)); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("compact while it is verified: got %v", err)
	}
	w.stop()
	if err := <-w.done; err != nil {
		t.Error(err)
	}
	w.done <- nil
	select {
	case <-ended:
	default:
		t.Error("Run returned while a request still used the log")
	}
	for name, c := range map[string]chan error{"follow": following, "verify": verifying} {
		if err := <-c; err == nil || !strings.Contains(err.Error(), "stopping") {
			t.Errorf("%s: got %v, want that the gateway is stopping", name, err)
		}
	}
}

func TestVerifyStreamsProgressAndReport(t *testing.T) {
	t.Parallel()
	want := gateway.LogReport{First: 1, Last: 9, Blocks: 2, Events: 9, Problems: []gateway.LogProblem{{Offset: 3, Text: "bad checksum"}}}
	w := newWorld(t, t.TempDir(), func(w *world) {
		w.log.verify = func(_ context.Context, progress func(done, total uint64)) (gateway.LogReport, error) {
			for i := range uint64(1001) {
				progress(i, 1000)
			}
			return want, nil
		}
	})
	var last uint64
	calls := 0
	got, err := w.client.Verify(testContext(t), func(done, total uint64) {
		calls++
		last = done
		if total != 1000 {
			t.Errorf("got total %d, want 1000", total)
		}
	})
	if err != nil || calls == 0 || calls > 200 || last != 1000 {
		t.Errorf("got %d calls up to %d, %v; want a few, up to 1000", calls, last, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, _, err := w.client.Compact(testContext(t)); err != nil {
		t.Errorf("compact: %v", err)
	}
	w.log.verify = func(context.Context, func(done, total uint64)) (gateway.LogReport, error) {
		return gateway.LogReport{}, errors.New("the card is gone")
	}
	if _, err := w.client.Verify(testContext(t), nil); err == nil || !strings.Contains(err.Error(), "the card is gone") {
		t.Errorf("got %v, want what is wrong", err)
	}
}

package test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gateway/internal/faultproxy"
	"gateway/internal/load"
	"gateway/test/rig"
)

func TestDataDirectoryInUse(t *testing.T) {
	t.Parallel()
	first := gateway(t)
	running := start(t, &first)
	second := gateway(t)
	second.DataDir = first.Data()
	b, err := second.Launch()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Kill)
	wantEnd(t, b, 1, "in use", first.Data())
	if r := publish(t, running.Addr, 100); r.Acknowledged != 100 {
		t.Errorf("the first gateway acknowledged %d of 100", r.Acknowledged)
	}
}

func TestPortTaken(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	g := gateway(t)
	g.Addr = ln.Addr().String()
	b, err := g.Launch()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Kill)
	wantEnd(t, b, 1, g.Addr, "in use")
}

func TestDataDirectoryThatCannotBeMade(t *testing.T) {
	t.Parallel()
	g := gateway(t)
	file := filepath.Join(g.Dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	g.DataDir = filepath.Join(file, "data")
	b, err := g.Launch()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Kill)
	wantEnd(t, b, 1, g.DataDir)
}

func TestUnknownKey(t *testing.T) {
	t.Parallel()
	g := gateway(t)
	g.MaxSize = "1GB\n  max_sise: 1GB"
	b, err := g.Launch()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Kill)
	wantEnd(t, b, 2, "gateway.yaml:10:3", "max_sise", "max_size")
}

// TestUpstreamRefusesTheLogin keeps what was acknowledged until the upstream lets the gateway in.
func TestUpstreamRefusesTheLogin(t *testing.T) {
	needMosquitto(t)
	t.Parallel()
	g := gateway(t)
	closed, err := rig.StartMosquitto(t.Context(), g.Dir, "closed", "", "allow_anonymous false")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closed.Kill)
	line, err := faultproxy.New(closed.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer line.Close()
	g.Upstream, g.Username = line.Addr(), "nobody"
	b := start(t, &g)
	publish(t, b.Addr, 500)
	if !rig.Poll(t.Context(), 20*time.Second, func() bool { return strings.Contains(strings.ToLower(b.Tail()), "not auth") }) {
		t.Errorf("the gateway does not say that it is refused: %s", b.Tail())
	}
	line.SetDown() // until the subscriber is there: Mosquitto keeps nothing for nobody
	closed.Kill()
	open, err := rig.StartMosquitto(t.Context(), g.Dir, "open", closed.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(open.Kill)
	arrivals := subscribe(t, open.Addr)
	line.SetUp()
	wantArrivals(t, arrivals, 500, b)
}

// TestIdleConnections holds five thousand of them, and another client publishes.
func TestIdleConnections(t *testing.T) {
	const idle = 5000
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Max < idle+500 {
		missing(t, "the limit of open files is below 5,500 (ulimit -Hn)")
	}
	t.Parallel()
	g := gateway(t)
	g.MaxClients = idle + 100
	b := start(t, &g)
	closeAll, err := load.Idle(b.Addr, "idle", idle, 20*time.Second)
	if err != nil {
		t.Fatalf("%v: %s", err, b.Tail())
	}
	defer closeAll()
	if r := publish(t, b.Addr, 1000); r.Acknowledged != 1000 {
		t.Errorf("got %d acknowledgements beside %d idle connections, want 1000", r.Acknowledged, idle)
	}
	m, err := rig.MemoryOf(b.PID())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("memory with %d idle connections: %d MB", idle, m.RSS/1_000_000)
}

// TestFullDataDirectory fills a small filesystem while the line is down: the gateway withholds acknowledgements, keeps
// running, and delivers everything that it acknowledged when the line is up, after a kill too.
func TestFullDataDirectory(t *testing.T) {
	needMosquitto(t)
	if os.Getuid() != 0 {
		missing(t, "mounting a small filesystem needs root")
	}
	t.Parallel()
	g := gateway(t)
	small := filepath.Join(g.Dir, "small")
	if err := os.Mkdir(small, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=160m"); err != nil {
		missing(t, "mount a tmpfs: "+err.Error())
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(small, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	upstream, err := rig.StartMosquitto(t.Context(), g.Dir, "upstream", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(upstream.Kill)
	line, err := faultproxy.New(upstream.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer line.Close()
	line.SetDown()
	g.DataDir, g.Upstream, g.Raw = filepath.Join(small, "data"), line.Addr(), true // the payloads are not JSON
	b := start(t, &g)
	fill := loadOf(b.Addr, 10_000_000)
	fill.Payload, fill.Size, fill.Patience = load.Random, 4000, 5*time.Second
	r, err := load.Run(t.Context(), fill)
	var network net.Error
	if err == nil || r.Acknowledged == 0 || !errors.As(err, &network) && !strings.Contains(err.Error(), "EOF") {
		t.Fatalf("got %d acknowledgements and %v, want the gateway to stop acknowledging", r.Acknowledged, err)
	}
	t.Logf("acknowledged %d events of 4 kB, then: %v", r.Acknowledged, err)
	select {
	case <-b.Done():
		t.Fatalf("the gateway ended when its disk was full: %v: %s", b.Err(), b.Tail())
	default:
	}
	if !strings.Contains(b.Tail(), "full") {
		t.Errorf("the gateway does not say that it is full: %s", b.Tail())
	}
	b.Kill()
	again := start(t, &g)
	arrivals := subscribe(t, upstream.Addr)
	line.SetUp()
	wantArrivals(t, arrivals, r.Acknowledged, again)
	if arrivals.Distinct() > r.Sent {
		t.Errorf("%d events arrived, and %d were sent", arrivals.Distinct(), r.Sent)
	}
	wantRoom(t, again.Addr)
}

// wantRoom waits until a gateway that was full takes events again.
func wantRoom(t *testing.T, addr string) {
	t.Helper()
	var err error
	if !rig.Poll(t.Context(), 30*time.Second, func() bool {
		probe := loadOf(addr, 10)
		probe.FirstClient, probe.Patience = 9000, 5*time.Second
		_, err = load.Run(t.Context(), probe)
		return err == nil
	}) {
		t.Errorf("the gateway takes nothing after it has delivered everything: %v", err)
	}
}

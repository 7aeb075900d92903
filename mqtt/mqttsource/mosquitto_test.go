package mqttsource

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"gateway"
	"gateway/internal/gatewaytest"
)

const patience = 20 * time.Second

// mosquitto is a real broker in a process of its own, on a port of its own.
type mosquitto struct {
	addr string
	dir  string
	path string
	cmd  *exec.Cmd
	out  *lockedBuffer
	done chan struct{} // closed when the process has ended
}

// startMosquitto starts a broker. config are further lines of its configuration, in which %[1]s stands for its folder.
func startMosquitto(t testing.TB, config string) *mosquitto {
	t.Helper()
	m := &mosquitto{dir: t.TempDir(), path: program(t, "mosquitto")}
	for range 5 { // the free port may be taken before mosquitto has it
		m.addr = freeAddr(t)
		if m.start(t, config) {
			t.Cleanup(m.stop)
			return m
		}
	}
	t.Fatalf("mosquitto does not start:\n%s", m.out)
	return nil
}

func program(t testing.TB, name string) string {
	t.Helper()
	for _, dir := range []string{"", "/usr/sbin/", "/usr/local/sbin/", "/usr/bin/"} {
		if path, err := exec.LookPath(dir + name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed, and CI is set", name)
	}
	t.Skipf("%s is not installed", name)
	return ""
}

func (m *mosquitto) start(t testing.TB, config string) bool {
	t.Helper()
	host, port, _ := net.SplitHostPort(m.addr)
	text := fmt.Sprintf("per_listener_settings false\nmax_queued_messages 0\nlog_type error\nlog_type warning\nlog_type notice\nlistener %s %s\n", port, host)
	if os.Geteuid() == 0 {
		text += "user root\n" // otherwise it becomes a user who cannot read the test's files
	}
	text += strings.ReplaceAll(config, "%[1]s", m.dir)
	file := filepath.Join(m.dir, "mosquitto.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	m.out = &lockedBuffer{}
	m.cmd = exec.Command(m.path, "-c", file)
	m.cmd.Stdout, m.cmd.Stderr = m.out, m.out
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.done = make(chan struct{})
	go func() {
		m.cmd.Wait()
		close(m.done)
	}()
	return m.listens()
}

// listens waits until the broker takes connections, or has ended.
func (m *mosquitto) listens() bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if conn, err := net.Dial("tcp", m.addr); err == nil {
			conn.Close()
			return true
		}
		select {
		case <-m.done:
			return false
		case <-tick.C:
		}
	}
	return false
}

func (m *mosquitto) stop() {
	m.cmd.Process.Kill()
	<-m.done
}

func freeAddr(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// lines counts the lines that have all of the texts.
func (b *lockedBuffer) lines(texts ...string) (n int) {
next:
	for line := range strings.Lines(b.String()) {
		for _, text := range texts {
			if !strings.Contains(line, text) {
				continue next
			}
		}
		n++
	}
	return n
}

// publisher publishes to the broker, each message confirmed.
type publisher struct {
	t      testing.TB
	client paho.Client
}

func newPublisher(t testing.TB, addr string, set func(*paho.ClientOptions)) *publisher {
	t.Helper()
	o := paho.NewClientOptions().AddBroker("tcp://" + addr).SetClientID("publisher").SetAutoReconnect(false)
	if set != nil {
		set(o)
	}
	client := paho.NewClient(o)
	if token := client.Connect(); !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("publisher: connect: %v", token.Error())
	}
	t.Cleanup(func() { client.Disconnect(0) })
	return &publisher{t, client}
}

func (p *publisher) publish(topic string, retain bool, payloads ...string) {
	p.t.Helper()
	tokens := make([]paho.Token, len(payloads))
	for i, payload := range payloads {
		tokens[i] = p.client.Publish(topic, 1, retain, payload)
	}
	for _, token := range tokens {
		if !token.WaitTimeout(patience) || token.Error() != nil {
			p.t.Fatalf("publish: %v", token.Error())
		}
	}
}

// cloudEvent is a CloudEvent in JSON with that id and data.
func cloudEvent(id, data string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"//plant/a","type":"cmd","data":%s}`, id, data)
}

// options are those of a test at a broker without users.
func options(addr string) Options {
	o := Default()
	o.Name, o.Gateway, o.URL, o.ClientID, o.Topics = "up", "pi", "tcp://"+addr, "gw-up", []string{"#"}
	o.RetryMin, o.RetryMax = time.Millisecond, 20*time.Millisecond
	o.ConnectTimeout = 5 * time.Second
	o.Logger = slog.New(slog.DiscardHandler)
	return o
}

// run runs a source until the test ends, or until the function that it returns is called.
func run(t testing.TB, o Options, out gateway.Appender) (*Source, func()) {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, out) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: got %v, want nil", err)
		}
	})
	t.Cleanup(stop)
	inState(t, s, StateConnected)
	return s, stop
}

func inState(t testing.TB, s *Source, state string) Status {
	t.Helper()
	until(t, func() string { return fmt.Sprintf("want the state %s, got %+v", state, s.Status()) },
		func() bool { return s.Status().State == state })
	return s.Status()
}

// until waits for ok.
func until(t testing.TB, what func() string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); {
		<-tick.C
		if time.Now().After(end) {
			t.Fatalf("waited %s in vain: %s", patience, what())
		}
	}
}

// events are those of the log, in order.
func events(log *gatewaytest.FakeLog) (list []gateway.Event) {
	for _, b := range log.Batches() {
		list = append(list, b.Events...)
	}
	return list
}

// stored waits until the log has n events, and returns their data.
func stored(t testing.TB, log *gatewaytest.FakeLog, n int) (data []string) {
	t.Helper()
	until(t, func() string { return fmt.Sprintf("want %d events, got %d", n, len(events(log))) },
		func() bool { return len(events(log)) >= n })
	for _, e := range events(log) {
		data = append(data, string(e.Data))
	}
	return data
}

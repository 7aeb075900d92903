package mqttsink

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

const patience = 20 * time.Second

// mosquitto is a real broker in a process of its own, on a port of its own.
type mosquitto struct {
	addr string
	dir  string
	cmd  *exec.Cmd
	out  *lockedBuffer
	done chan struct{} // closed when the process has ended
}

func mosquittoPath(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"mosquitto", "/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("mosquitto is not installed, and CI is set")
	}
	t.Skip("mosquitto is not installed")
	return ""
}

// startMosquitto starts a broker. config are further lines of its configuration, in which %[1]s stands for dir.
func startMosquitto(t testing.TB, dir, config string) *mosquitto {
	t.Helper()
	path := mosquittoPath(t)
	m := &mosquitto{dir: dir}
	for range 5 { // the free port may be taken before mosquitto has it
		m.addr = freeAddr(t)
		if m.start(t, path, config) {
			t.Cleanup(m.stop)
			return m
		}
	}
	t.Fatalf("mosquitto does not start:\n%s", m.out)
	return nil
}

func (m *mosquitto) start(t testing.TB, path, config string) bool {
	t.Helper()
	host, port, _ := net.SplitHostPort(m.addr)
	text := fmt.Sprintf("per_listener_settings false\npersistence false\nmax_queued_messages 0\nmax_inflight_messages 0\nlog_type error\nlog_type warning\nlog_type notice\nlistener %s %s\n", port, host)
	if os.Geteuid() == 0 {
		text += "user root\n" // otherwise it becomes a user who cannot read the test's files
	}
	text += strings.ReplaceAll(config, "%[1]s", m.dir)
	file := filepath.Join(m.dir, "mosquitto.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	m.out = &lockedBuffer{}
	m.cmd = exec.Command(path, "-c", file)
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

// message is what a subscriber got.
type message struct {
	topic   string
	payload string
	retain  bool
}

// bufferedConn spares the library a system call for each byte of a header.
type bufferedConn struct {
	net.Conn
	in *bufio.Reader
}

func (c bufferedConn) Read(p []byte) (int, error) { return c.in.Read(p) }

// recorder subscribes to everything and keeps what comes, in order.
type recorder struct {
	mu       sync.Mutex
	messages []message
	came     chan struct{} // of size one
}

func subscribe(t testing.TB, addr string, set func(*mqtt.ClientOptions)) *recorder {
	t.Helper()
	r := &recorder{came: make(chan struct{}, 1)}
	o := mqtt.NewClientOptions().AddBroker("tcp://" + addr).SetClientID("recorder").SetAutoReconnect(false).SetOrderMatters(true)
	if set == nil {
		o.SetCustomOpenConnectionFn(func(u *url.URL, _ mqtt.ClientOptions) (net.Conn, error) {
			conn, err := net.Dial("tcp", u.Host)
			if err != nil {
				return nil, err
			}
			conn = confirmAtOnce(conn)
			return bufferedConn{conn, bufio.NewReader(conn)}, nil
		})
	} else {
		set(o)
	}
	client := mqtt.NewClient(o)
	if token := client.Connect(); !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("recorder: connect: %v", token.Error())
	}
	t.Cleanup(func() { client.Disconnect(0) })
	token := client.Subscribe("#", 0, func(_ mqtt.Client, m mqtt.Message) {
		r.mu.Lock()
		r.messages = append(r.messages, message{m.Topic(), string(m.Payload()), m.Retained()})
		r.mu.Unlock()
		select {
		case r.came <- struct{}{}:
		default:
		}
	})
	if !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("recorder: subscribe: %v", token.Error())
	}
	return r
}

func (r *recorder) all() []message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]message(nil), r.messages...)
}

// wait returns what came when done says that it is enough.
func (r *recorder) wait(t testing.TB, what string, done func([]message) bool) []message {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		got := r.all()
		if done(got) {
			return got
		}
		select {
		case <-r.came:
		case <-timer.C:
			t.Fatalf("waited %s for %s; got %d messages, the last is %.80q", patience, what, len(got), lastOf(got).payload)
		}
	}
}

func lastOf(messages []message) message {
	if len(messages) == 0 {
		return message{}
	}
	return messages[len(messages)-1]
}

func (r *recorder) waitFor(t testing.TB, n int) []message {
	t.Helper()
	return r.wait(t, fmt.Sprintf("%d messages", n), func(m []message) bool { return len(m) >= n })
}

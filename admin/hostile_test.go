package admin

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"gateway"
)

// dial opens a connection that belongs to the test.
func dial(t *testing.T, w *world) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", filepath.Join(w.dir, SocketName))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestThousandsOfConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t.TempDir(), nil)
	before := runtime.NumGoroutine()
	var open []net.Conn
	refused := 0
	for range 2000 {
		conn := dial(t, w)
		open = append(open, conn)
	}
	for _, conn := range open[connections:] {
		conn.SetReadDeadline(time.Now().Add(deadline))
		if _, err := conn.Read(make([]byte, 1)); errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			refused++
		}
		conn.Close()
	}
	if refused != len(open)-connections {
		t.Errorf("got %d connections closed, want %d", refused, len(open)-connections)
	}
	if n := runtime.NumGoroutine() - before; n > 3*connections+100 { // with those of other tests
		t.Errorf("got %d goroutines more than before", n)
	}
	// Half a request, and nothing at all, end by themselves.
	if _, err := io.WriteString(open[0], "GET /v1/status HTTP/1.1\r\nHost: "); err != nil {
		t.Fatal(err)
	}
	for _, conn := range open[:connections] {
		conn.SetReadDeadline(time.Now().Add(deadline))
		if _, err := io.Copy(io.Discard, conn); err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("got %v, want the end of the connection", err)
		}
	}
	eventually(t, "room for those who mean well", func() bool {
		_, err := w.client.Status(testContext(t))
		return err == nil
	})
}

func TestLargeHeaderIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t.TempDir(), nil)
	conn := dial(t, w)
	go func() {
		fmt.Fprintf(conn, "GET /v1/status HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", strings.Repeat("a", 1<<20)) // fails when it is refused
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %s, want 431", resp.Status)
	}
}

func TestClientsThatNeverReadHoldUpNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t.TempDir(), nil)
	w.fill(t, 5000)
	for range streams {
		fmt.Fprintf(dial(t, w), "GET /v1/log/events?q=%s HTTP/1.1\r\nHost: x\r\n\r\n", "%7B%22follow%22:true%7D")
	}
	eventually(t, "all streams to be taken", func() bool { return len(w.server.slots) == streams })
	if err := w.client.Events(testContext(t), gateway.Query{}, nil); err == nil || !strings.Contains(err.Error(), "try again later") {
		t.Errorf("got %v, want that it is busy", err)
	}
	w.fill(t, 5000)
	if st, err := w.client.Status(testContext(t)); err != nil || st.Log.Last != 10_000 {
		t.Errorf("got %+v, %v; want the status", st.Log, err)
	}
	started := time.Now()
	w.stop()
	if err := <-w.done; err != nil {
		t.Error(err)
	}
	w.done <- nil
	if took := time.Since(started); took > stopTimeout+5*time.Second {
		t.Errorf("the stop took %s", took)
	}
}

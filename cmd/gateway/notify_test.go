package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// listenNotify is systemd's end of the socket.
func listenNotify(t *testing.T, name string) <-chan string {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	messages := make(chan string, 1000)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			messages <- string(buf[:n])
		}
	}()
	t.Cleanup(func() { conn.Close() })
	return messages
}

func expect(t *testing.T, messages <-chan string, want string) {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		select {
		case m := <-messages:
			if strings.Contains("\n"+m+"\n", "\n"+want+"\n") {
				return
			}
		case <-timeout:
			t.Fatalf("%s was not sent", want)
		}
	}
}

func TestSystemdIsTold(t *testing.T) {
	t.Parallel()
	// A path for a socket has 107 bytes at most, a test's folder may have more.
	dir, err := os.MkdirTemp("", "notify")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for name, socket := range map[string]string{
		"path":     filepath.Join(dir, "socket"),
		"abstract": "@gateway-test-" + filepath.Base(dir),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			messages := listenNotify(t, socket)
			p := startGateway(t, "mqtt: {listen: 127.0.0.1:0}\n", "NOTIFY_SOCKET="+socket, "WATCHDOG_USEC=600000")
			expect(t, messages, "READY=1")
			for range 3 {
				expect(t, messages, "WATCHDOG=1")
			}
			p.signal(syscall.SIGTERM)
			expect(t, messages, "STOPPING=1")
			if code := p.wait(); code != 0 {
				t.Errorf("got exit code %d, want 0", code)
			}
		})
	}
}

func TestNobodyToNotify(t *testing.T) {
	t.Parallel()
	n, err := openNotifier(func(string) string { return "" })
	if n != nil || err != nil {
		t.Fatalf("got %v, %v, want nothing", n, err)
	}
	n.send("READY=1")
	n.status("x")
	n.close()
	if _, err := openNotifier(func(string) string { return "/no/such/socket" }); err == nil {
		t.Error("a socket that is not there: got no error")
	}
}

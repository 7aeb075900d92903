package mqtt

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"gateway/buffer"
)

// childDir names the data directory for a child process of this test binary, which runs a broker with the real log and
// few open files until its standard input ends.
const childDir = "GATEWAY_MQTT_TEST_CHILD"

// childFiles is what a shell's user gets who says ulimit -n 128.
const childFiles = 128

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := childServes(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// childServes says on standard output where it listens.
func childServes(dir string) (err error) {
	limit := syscall.Rlimit{Cur: childFiles, Max: childFiles}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	log, err := buffer.Open(buffer.Options{Dir: dir})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	policy, err := NewPolicy("", nil)
	if err != nil {
		return err
	}
	b, err := New(Options{
		GatewayID: "gw", Policy: policy, Listeners: []Listener{{Address: "127.0.0.1:0"}},
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}, log)
	if err != nil {
		return err
	}
	fmt.Println(b.Addrs()[0])
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // it ends with the parent at the latest
		cancel()
	}()
	return b.Run(ctx)
}

// TestSilentSocketsLeaveTheLogItsFiles: strangers who connect and say nothing, more of them than the process may have
// open files, do not stop the log, and do not disturb a client that is connected.
func TestSilentSocketsLeaveTheLogItsFiles(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+t.TempDir())
	var said strings.Builder
	cmd.Stderr = &said
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // an error: it has ended, as it should
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatalf("the child said nothing: %v, %s", cmd.Wait(), said.String())
	}
	addr := lines.Text()
	pub := dialRaw(t, addr, 4, patience, nil)
	pub.connect(hello{id: "pub"})
	var strangers []net.Conn
	for range 3 * childFiles {
		conn, err := net.DialTimeout("tcp", addr, patience)
		if err != nil {
			break // the listener's queue is full: that is as bad as it gets
		}
		strangers = append(strangers, conn)
	}
	t.Cleanup(func() { closeAll(strangers) })
	noise := make([]byte, 64<<10) // it does not compress, so the log soon needs new files
	if _, err := rand.NewChaCha8([32]byte{}).Read(noise); err != nil {
		t.Fatal(err)
	}
	const many = 400
	for i := range many {
		pub.publish(message{topic: "t", payload: fmt.Sprint(i, string(noise)), qos: 1, id: uint16(i + 1)})
		pub.expectAck(packets.Puback, uint16(i+1))
	}
	closeAll(strangers)
	eventually(t, patience, "a new client is let in again", func() bool {
		conn, err := net.DialTimeout("tcp", addr, patience)
		if err != nil {
			return false
		}
		defer conn.Close()
		c := &rawClient{t: t, patience: time.Second, conn: conn, in: bufio.NewReader(conn), version: 4}
		if c.write(c.connectFrame(hello{id: "late"})) != nil {
			return false
		}
		r, err := c.read()
		return err == nil && r.kind == packets.Connack && r.reason == 0
	})
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the child ended with %v", err)
	}
	for _, want := range []string{"fewer clients than max_clients", "too many connections"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("the child said %q, want %q in it", said.String(), want)
		}
	}
}

func closeAll(conns []net.Conn) {
	for _, c := range conns {
		c.Close()
	}
}

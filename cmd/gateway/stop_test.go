package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// publish sends one QoS 1 publish over MQTT 3.1.1 and returns after its PUBACK.
func publish(t *testing.T, address string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	answer := make([]byte, 4)
	for _, packet := range []string{
		"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04test", // CONNECT, clean session
		"\x32\x08\x00\x03a/b\x00\x01x",                     // PUBLISH, packet id 1
	} {
		if _, err := io.WriteString(conn, packet); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, answer); err != nil {
			t.Fatalf("no answer to %q: %v", packet, err)
		}
	}
	if string(answer) != "\x40\x02\x00\x01" {
		t.Fatalf("got %x, want the PUBACK of packet 1", answer)
	}
}

func TestSIGTERMStopsCleanlyAndTheNextStartHasTheEvents(t *testing.T) {
	t.Parallel()
	const config = "data_dir: %s\nmqtt: {listen: 127.0.0.1:0}\nlog: {level: debug}\n"
	dir := t.TempDir()
	p := startGateway(t, fmt.Sprintf(config, dir))
	publish(t, p.addresses()[0])
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
	out := p.output()
	intake, delivery, stopped := strings.Index(out, "intake stopped"), strings.Index(out, "delivery stopped"), strings.Index(out, "msg=stopped")
	if intake < 0 || delivery < intake || stopped < delivery {
		t.Errorf("got the order intake %d, delivery %d, stopped %d", intake, delivery, stopped)
	}
	q := startGateway(t, fmt.Sprintf(config, dir)+fmt.Sprintf("forwarders: [{name: file, sink: {type: file, path: %s/out.jsonl}}]\n", dir))
	q.addresses()
	waitForFile(t, dir+"/out.jsonl", `"a/b"`)
	q.signal(syscall.SIGINT)
	if code := q.wait(); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
}

func TestSecondSignalCutsTheStopShort(t *testing.T) {
	t.Parallel()
	// An upstream that takes connections and never says a word keeps a delivery under way.
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	connected := make(chan net.Conn, 16)
	go func() {
		for {
			conn, err := silent.Accept()
			if err != nil {
				return
			}
			connected <- conn
		}
	}()
	p := startGateway(t, fmt.Sprintf("mqtt: {listen: 127.0.0.1:0}\nlog: {level: debug}\n"+
		"forwarders: [{name: up, sink: {type: mqtt, url: \"tcp://%s\"}}]\n", silent.Addr()))
	publish(t, p.addresses()[0])
	select {
	case conn := <-connected:
		defer conn.Close()
	case <-time.After(20 * time.Second):
		t.Fatal("the forwarder did not connect")
	}
	p.signal(syscall.SIGTERM)
	p.waitFor("intake stopped")
	p.signal(syscall.SIGTERM) // too soon after the first: timeout(1) sends two at once
	<-time.After(2 * echo)    // the time itself is what is tested here
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 1 {
		t.Errorf("got exit code %d, want 1", code)
	}
	if out := p.output(); !strings.Contains(out, "cut short: a second signal came") || strings.Contains(out, "delivery stopped") {
		t.Errorf("got\n%s\nwant a stop that was cut short", out)
	}
}

// waitForFile waits until the file has the text.
func waitForFile(t *testing.T, file, text string) {
	t.Helper()
	if !until(func() bool {
		data, err := os.ReadFile(file)
		return err == nil && strings.Contains(string(data), text)
	}) {
		t.Fatalf("%s does not have %q", file, text)
	}
}

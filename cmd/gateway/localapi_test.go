package main

import (
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"gateway"
	"gateway/admin"
)

// TestRunningGatewayAnswers asks a real gateway over its socket and its TCP listener.
func TestRunningGatewayAnswers(t *testing.T) {
	t.Parallel()
	p := startGateway(t, "data_dir: data\nmqtt: {listen: 127.0.0.1:0}\nadmin: {listen: 127.0.0.1:0}\n")
	p.addresses()
	client := admin.NewClient(filepath.Join(p.dir, "data", admin.SocketName))
	lines := strings.Repeat(`{"specversion":"1.0","id":"x","source":"s","type":"t","subject":"a","data":1}`+"\n", 7)
	if n, err := client.Import(t.Context(), strings.NewReader(lines)); n != 7 || err != nil {
		t.Fatalf("import: got %d, %v; want 7", n, err)
	}
	var offsets []gateway.Offset
	if err := client.Events(t.Context(), gateway.Query{Last: true, Limit: 2}, func(e gateway.Entry) error {
		offsets = append(offsets, e.Offset)
		return nil
	}); err != nil || len(offsets) != 2 || offsets[1] != 7 {
		t.Errorf("events: got %v, %v; want 6 and 7", offsets, err)
	}
	address := regexp.MustCompile(`msg="metrics are served".* address=(\S+)`).FindStringSubmatch(p.output())
	if address == nil {
		t.Fatal("the gateway did not say where metrics are")
	}
	for path, want := range map[string]string{"/metrics": "gateway_log_appended_events_total 7\n", "/healthz": "ok\n"} {
		resp, err := http.Get("http://" + address[1] + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: got %d %s, %v; want %q in it", path, resp.StatusCode, body, err, want)
		}
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
}

func TestTakenMetricsPortDoesNotStopTheGateway(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := startGateway(t, "data_dir: data\nmqtt: {listen: 127.0.0.1:0}\nadmin: {listen: \""+l.Addr().String()+"\"}\n")
	p.addresses()
	p.waitFor("metrics are not served")
	if _, err := admin.NewClient(filepath.Join(p.dir, "data", admin.SocketName)).Status(t.Context()); err != nil {
		t.Errorf("the socket: %v", err)
	}
}

package admin

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"gateway"
)

func TestMetricsFollowTheRules(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(newCollector(func() Status {
		return Status{Forwarders: []gateway.ForwarderStatus{{Name: "a"}, {Name: "b"}}, Log: gateway.LogStatus{Full: true, FullReason: "new"}}
	}))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// get asks the TCP listener and returns the status and the body.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func newTCPWorld(t *testing.T) (w *world, url string) {
	t.Helper()
	w = newWorld(t, t.TempDir(), func(w *world) {
		addr, err := w.server.ListenTCP("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		url = "http://" + addr.String()
	})
	return w, url
}

func TestMetricsOverTCP(t *testing.T) {
	t.Parallel()
	w, url := newTCPWorld(t)
	w.fill(t, 30)
	code, text := get(t, url+"/metrics")
	if code != http.StatusOK {
		t.Fatalf("got %d: %s", code, text)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	value := func(name string, labels ...string) float64 { return valueOf(t, families, name, labels...) }
	for name, want := range map[string]float64{
		"gateway_log_appended_events_total": 30, "gateway_log_last_offset": 30, "gateway_log_first_offset": 1,
		"gateway_log_disk_limit_bytes": 1 << 30, "gateway_log_failed": 0, "gateway_mqtt_pending_publishes": 7,
	} {
		if got := value(name); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	sum := 0.0
	for _, outcome := range []string{"stored", "unlogged", "duplicate", "refused", "dropped", "disconnected"} {
		sum += value("gateway_mqtt_" + outcome + "_publishes_total")
	}
	if got := value("gateway_mqtt_received_publishes_total"); got != sum+value("gateway_mqtt_pending_publishes") {
		t.Errorf("got %v received, want the sum of the outcomes %v and what is pending", got, sum)
	}
	if got := value("gateway_forwarder_lag_seconds", "forwarder", "cloud"); got != 1.5 {
		t.Errorf("lag: got %v, want 1.5", got)
	}
	for state, want := range map[string]float64{gateway.StateRetrying: 1, gateway.StateIdle: 0} {
		if got := value("gateway_forwarder_state", "forwarder", "cloud", "state", state); got != want {
			t.Errorf("state %s: got %v, want %v", state, got, want)
		}
	}
	if got := value("gateway_info", "id", "pi-1", "version", "1.2.3"); got != 1 {
		t.Errorf("info: got %v", got)
	}
	if value("process_resident_memory_bytes") == 0 || value("go_goroutines") == 0 {
		t.Error("nothing is known of the process")
	}
}

// valueOf is the one sample of a family that has the labels, given as name and value in turn.
func valueOf(t *testing.T, families map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	t.Helper()
	for _, m := range families[name].GetMetric() {
		have := map[string]string{}
		for _, l := range m.GetLabel() {
			have[l.GetName()] = l.GetValue()
		}
		match := len(have) == len(labels)/2
		for i := 0; i < len(labels); i += 2 {
			match = match && have[labels[i]] == labels[i+1]
		}
		if match {
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no %s with %v", name, labels)
	return 0
}

func TestTCPTellsNoEventAndChangesNothing(t *testing.T) {
	t.Parallel()
	w, url := newTCPWorld(t)
	w.fill(t, 1)
	for _, path := range []string{"/v1/status", "/v1/log/events", "/v1/log/events/1", "/debug/pprof/", "/"} {
		if code, body := get(t, url+path); code != http.StatusNotFound || !strings.HasPrefix(body, `{"error":`) {
			t.Errorf("%s: got %d %s, want 404", path, code, body)
		}
	}
	resp, err := http.Post(url+"/v1/log/events", "application/x-ndjson", strings.NewReader(eventLines(1)))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound || w.log.Status().Last != 1 {
		t.Errorf("import over TCP: got %d, and a log that ends at %d", resp.StatusCode, w.log.Status().Last)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	w, url := newTCPWorld(t)
	if code, body := get(t, url+"/healthz"); code != http.StatusOK || body != "ok\n" {
		t.Errorf("got %d %q, want 200 ok", code, body)
	}
	w.log.failed.Store("sync: input/output error")
	if code, body := get(t, url+"/healthz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "input/output error") {
		t.Errorf("got %d %q, want 503 and the reason", code, body)
	}
}

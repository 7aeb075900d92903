package load

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net"
	"testing"
	"time"

	"gateway/internal/load/wire"
)

func testConfig(addr string) Config {
	return Config{Addr: addr, Clients: 4, Window: 20, QoS: 1, Payload: JSON, Size: 128, Devices: 20, Seed: 1,
		Prefix: "t", Patience: 10 * time.Second}
}

func TestRunSendsItsCountOnce(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{JSON, Random, Fixed} {
		for qos := byte(1); qos <= 2; qos++ {
			s := startAckServer(t, nil)
			cfg := testConfig(s.addr())
			cfg.Count, cfg.Payload, cfg.QoS = 10_001, kind, qos
			r, err := Run(context.Background(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			got := s.stop(t)
			if got != 10_001 || r.Sent != 10_001 || r.Acknowledged != 10_001 || r.Measured != 10_001 {
				t.Errorf("%s, QoS %d: server got %d, result %+v, want 10001", kind, qos, got, r)
			}
			if wantRels := 10_001 * int(qos-1); s.rels != wantRels {
				t.Errorf("%s, QoS %d: server got %d PUBREL, want %d", kind, qos, s.rels, wantRels)
			}
			if uint64(s.bytes) != r.PayloadBytes || s.bytes < 128*10_001 || s.bytes > 140*10_001 {
				t.Errorf("%s: server got %d bytes, result says %d, want the same and 128 to 140 each", kind, s.bytes, r.PayloadBytes)
			}
			if kind == JSON && !json.Valid(s.sample) {
				t.Errorf("payload is not JSON: %s", s.sample)
			}
			if r.P50 <= 0 || r.P50 > r.P99 || r.P99 > r.Max || r.PerSecond <= 0 {
				t.Errorf("%s: latencies and rate do not fit together: %+v", kind, r)
			}
		}
	}
}

func TestRunKeepsItsTimeAndRate(t *testing.T) {
	t.Parallel()
	s := startAckServer(t, nil)
	cfg := testConfig(s.addr())
	cfg.Rate, cfg.Warmup, cfg.Duration = 200, 100*time.Millisecond, 500*time.Millisecond
	r, err := Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.stop(t); got != int(r.Sent) || r.Sent != r.Acknowledged {
		t.Errorf("server got %d, result %+v, want the same", got, r)
	}
	if r.Sent < 112 || r.Sent > 124 { // 200/s for 600 ms, and the first of each client at once
		t.Errorf("sent %d in 600 ms at 200/s, want about 120", r.Sent)
	}
	if r.Measured >= r.Sent {
		t.Errorf("measured %d of %d, want the warm-up left out", r.Measured, r.Sent)
	}
}

func TestRunFailsWhenTheBrokerHangsUp(t *testing.T) {
	t.Parallel()
	s := startAckServer(t, func(received int) bool { return received == 100 })
	cfg := testConfig(s.addr())
	cfg.Count = 10_000
	if _, err := Run(context.Background(), cfg); err == nil {
		t.Error("got no error from a broker that hangs up after 100 publishes")
	}
}

func TestRunFailsWhenNothingIsAcknowledged(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = conn.Write([]byte{wire.Connack, 2, 0, 0})
		for r := wire.NewReader(conn, 1024); err == nil; {
			_, _, err = r.Next()
		}
	}()
	cfg := testConfig(ln.Addr().String())
	cfg.Clients, cfg.Count, cfg.Patience = 1, 10, 200*time.Millisecond
	var timeout net.Error
	if _, err := Run(context.Background(), cfg); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("got %v, want a timeout", err)
	}
}

func TestRunRefusesAConfigThatMeansNothing(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"clients": func(c *Config) { c.Clients = 0 }, "window": func(c *Config) { c.Window = 70_000 },
		"qos": func(c *Config) { c.QoS = 0 }, "payload": func(c *Config) { c.Payload = "x" }, "no end": func(c *Config) { c.Count = 0 },
	} {
		cfg := testConfig("127.0.0.1:1")
		cfg.Count = 1
		change(&cfg)
		if _, err := Run(context.Background(), cfg); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

func TestCounterCountsDistinctPayloads(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go serveThreePublishes(ln)
	c, err := Subscribe(ln.Addr().String(), "count", "#", 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(context.Background()); err == nil { // the server hangs up behind the third
		t.Error("got no error when the broker hung up")
	}
	if c.Received() != 3 || c.Distinct() != 2 || c.Last().Before(c.First()) || c.First().IsZero() {
		t.Errorf("got %d received, %d distinct, from %v to %v; want 3 and 2", c.Received(), c.Distinct(), c.First(), c.Last())
	}
}

// serveThreePublishes sends two payloads, one of them twice, waits for three PUBACKs and hangs up.
func serveThreePublishes(ln net.Listener) {
	conn, err := ln.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	out := []byte{wire.Connack, 2, 0, 0, wire.Suback, 3, 0, 1, 1}
	for id, seq := range []uint64{5, 70, 5} {
		out = wire.AppendPublish(out, "a", uint16(id+1), 1, id == 2, appendIdentity(nil, 3, seq))
	}
	if _, err := conn.Write(out); err != nil {
		return
	}
	r := wire.NewReader(conn, 1024)
	for acks := 0; acks < 3; {
		first, _, err := r.Next()
		if err != nil {
			return
		}
		if first == wire.Puback {
			acks++
		}
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	g := newGenerator(JSON, 12, 20, 20, 128, 1)
	reading := string(g.append(nil, 345, 1))
	for payload, ok := range map[string]bool{
		reading: true, "0012-0000000345": true, "0012-0000000345 and more": true,
		`{"specversion":"1.0","id":"0001-0000000001","data":` + reading + `}`: true,
		"": false, "0012-000000034": false, "0012x0000000345": false, "0012-00000003x5": false, `{"id":"x"}`: false, `{"data":{}}`: false,
	} {
		client, seq, err := Identity([]byte(payload))
		if (err == nil) != ok || ok && (client != 12 || seq != 345) {
			t.Errorf("%s: got %d, %d, %v; want ok %v, 12, 345", payload, client, seq, err, ok)
		}
	}
}

func TestHistogramQuantiles(t *testing.T) {
	t.Parallel()
	var h, other histogram
	for i := 1; i <= 5_000; i++ {
		h.add(time.Duration(i) * time.Microsecond)
		other.add(time.Duration(i+5_000) * time.Microsecond)
	}
	h.merge(&other)
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999} {
		got, want := h.quantile(q).Seconds(), q*10_000*time.Microsecond.Seconds()
		if math.Abs(got-want) > 0.017*want+2e-6 {
			t.Errorf("quantile %v: got %v, want %v", q, got, want)
		}
	}
	if got := h.quantile(1); got != 10*time.Millisecond {
		t.Errorf("quantile 1: got %v, want 10ms", got)
	}
}

// BenchmarkAckServer shows how much this program can publish: the server does nothing but acknowledge.
func BenchmarkAckServer(b *testing.B) {
	for _, c := range []struct {
		name            string
		clients, window int
	}{{"10x50", 10, 50}, {"100x20", 100, 20}, {"1x50", 1, 50}} {
		b.Run(c.name, func(b *testing.B) {
			s := startAckServer(b, nil)
			cfg := testConfig(s.addr())
			cfg.Clients, cfg.Window, cfg.Count = c.clients, c.window, uint64(max(b.N, 1000))
			r, err := Run(context.Background(), cfg)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(r.PerSecond, "publishes/s")
		})
	}
}

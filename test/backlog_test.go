package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateway/test/rig"
)

// TestBadConfigDoesNotDestroyTheBacklog: whatever is done to the file, what was acknowledged is delivered once it is right again.
func TestBadConfigDoesNotDestroyTheBacklog(t *testing.T) {
	needMosquitto(t)
	t.Parallel()
	upstreamAddr, err := rig.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	g := gateway(t)
	g.Upstream = upstreamAddr // nobody listens there yet
	b := start(t, &g)
	const count = 500
	if r := publish(t, b.Addr, count); r.Acknowledged != count {
		t.Fatalf("acknowledged %d of %d", r.Acknowledged, count)
	}
	b.Kill()
	file := filepath.Join(g.Dir, g.Name+".yaml")
	right, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, config string }{
		{"broken YAML", string(right) + "\n  - ]\n"},
		{"unknown key", string(right) + "\nbufer: {}\n"},
		{"cut in half", strings.Replace(string(right), "sink:", "sin", 1)},
		{"too small a bound", "buffer: {max_size: 1MB}\n" + string(right)},
		{"unknown sink", strings.Replace(string(right), "type: mqtt", "type: kafkaesque", 1)},
	} {
		runBadConfig(t, &g, c.name, c.config)
	}
	// A forwarder that is gone for a while, and another that comes instead.
	renamed := strings.Replace(string(right), "name: up", "name: other", 1)
	removed, _, _ := strings.Cut(string(right), "forwarders:")
	for i, config := range []string{renamed, removed} {
		runFor(t, &g, config, i)
	}
	upstream, err := rig.StartMosquitto(t.Context(), t.TempDir(), "upstream", upstreamAddr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(upstream.Kill)
	counter := subscribe(t, upstream.Addr)
	b = start(t, &g)
	wantArrivals(t, counter, count, b)
}

// runBadConfig starts the gateway with a configuration that it must refuse.
func runBadConfig(t *testing.T, g *rig.Gateway, name, config string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := rig.Start(g.Dir, "bad", g.Program, "run", "--config", file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	t.Log(name)
	wantEnd(t, &rig.Broker{Process: p}, 2, "gateway.yaml")
}

// runFor starts the gateway with a configuration that is right, but not the one that the backlog waits for, until it listens.
func runFor(t *testing.T, g *rig.Gateway, config string, n int) {
	t.Helper()
	file := filepath.Join(g.Dir, "other.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := rig.Start(g.Dir, "other", g.Program, "run", "--config", file)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	if err := p.WaitUntil(t.Context(), 20*time.Second, func() error { return rig.Accepts(g.Addr) }); err != nil {
		t.Fatalf("configuration %d: %v", n, err)
	}
}

// Package test runs the real gateway process, as its user does, against real brokers.
package test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateway/internal/load"
	"gateway/test/rig"
	"gateway/test/storm"
)

// program is the binary under test, set by TestMain before any test runs.
var program string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(runTests(m))
}

// runTests builds the gateway, unless GATEWAY_BINARY names one.
func runTests(m *testing.M) int {
	if program = os.Getenv("GATEWAY_BINARY"); program != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "gateway-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "gateway")
	if err := rig.Build(context.Background(), program, "./cmd/gateway"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// needMosquitto skips where it is not installed; with CI=true it fails.
func needMosquitto(t *testing.T) {
	t.Helper()
	if _, err := rig.FindMosquitto(); err != nil {
		missing(t, err.Error())
	}
}

// missing skips a test that cannot run here; with CI=true it fails.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// gateway is one in a folder of its own.
func gateway(t *testing.T) rig.Gateway {
	return rig.Gateway{Program: program, Dir: t.TempDir(), Name: "gateway"}
}

// start starts g and kills it at the end of the test.
func start(t *testing.T, g *rig.Gateway) *rig.Broker {
	t.Helper()
	b, err := g.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Kill)
	return b
}

// publish publishes count readings of four clients and returns what was acknowledged.
func publish(t *testing.T, addr string, count uint64) load.Result {
	t.Helper()
	r, err := load.Run(t.Context(), loadOf(addr, count))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func loadOf(addr string, count uint64) load.Config {
	return load.Config{
		Addr: addr, Clients: 4, Window: 10, QoS: 1, Payload: load.JSON, Size: 128, Devices: 4, Seed: 1, Prefix: "e2e",
		Count: count, Patience: 30 * time.Second,
	}
}

// subscribe counts what arrives at a broker until the test ends.
func subscribe(t *testing.T, addr string) *load.Counter {
	t.Helper()
	c, err := load.Subscribe(addr, "counter", "#", 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.Run(ctx); err != nil {
			t.Errorf("the subscriber: %v", err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return c
}

// wantArrivals waits until so many different events have arrived.
func wantArrivals(t *testing.T, c *load.Counter, want uint64, b *rig.Broker) {
	t.Helper()
	if !rig.Poll(t.Context(), time.Minute, func() bool { return c.Distinct() >= want }) {
		t.Fatalf("%d of %d acknowledged events arrived upstream: %s", c.Distinct(), want, b.Tail())
	}
}

// wantEnd waits for a process that must fail, and returns what it printed.
func wantEnd(t *testing.T, b *rig.Broker, code int, texts ...string) {
	t.Helper()
	select {
	case <-b.Done():
	case <-time.After(30 * time.Second):
		t.Fatalf("%s is still running: %s", b.Name, b.Tail())
	}
	got := 0
	var exit *exec.ExitError
	if errors.As(b.Err(), &exit) {
		got = exit.ExitCode()
	}
	if got != code {
		t.Errorf("exit code: got %d, want %d: %s", got, code, b.Tail())
	}
	for _, text := range texts {
		if !strings.Contains(b.Tail(), text) {
			t.Errorf("what it printed does not have %q: %s", text, b.Tail())
		}
	}
}

// TestKilledUnderLoad is the torture program with five rounds.
func TestKilledUnderLoad(t *testing.T) {
	needMosquitto(t)
	t.Parallel()
	cfg := storm.Config{
		Program: program, Dir: t.TempDir(), Rounds: 5, Sensors: 10, Window: 50, Rate: 5_000,
		Seed: uint64(time.Now().UnixNano()), Within: time.Second, Out: t.Output(),
	}
	t.Logf("seed %d", cfg.Seed)
	outcome, err := storm.Run(t.Context(), cfg)
	if outcome != nil {
		t.Logf("\n%s", outcome.Text(cfg.Within))
	}
	if err != nil {
		t.Fatal(err)
	}
	if !outcome.OK() {
		t.Errorf("the promise was not kept: %d faults, %d slow starts", outcome.Faults(), outcome.Slow)
	}
}

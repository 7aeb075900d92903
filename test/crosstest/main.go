// Command crosstest builds the gateway without cgo for each processor that it is made for, runs it there or under
// qemu-user, publishes a thousand events while the line is down, kills it, starts it again with the line up, and
// expects all of them at the upstream. It exits with 1 where that fails, or where CI=true and an emulator is missing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"gateway/internal/faultproxy"
	"gateway/internal/load"
	"gateway/test/rig"
)

// target is a processor and what runs its binaries here.
type target struct {
	name     string
	env      []string
	emulator []string // with its arguments
}

func targets() []target {
	return []target{
		{"amd64", []string{"GOARCH=amd64"}, []string{"qemu-x86_64"}},
		{"arm64", []string{"GOARCH=arm64"}, []string{"qemu-aarch64"}},
		{"armv7", []string{"GOARCH=arm", "GOARM=7"}, []string{"qemu-arm", "-cpu", "cortex-a7"}},
		{"armv6", []string{"GOARCH=arm", "GOARM=6"}, []string{"qemu-arm", "-cpu", "arm1176"}},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "crosstest:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("crosstest", flag.ContinueOnError)
	dist := flags.String("dist", "", "`folder` with gateway-linux-<arch>; they are built where it is not given")
	only := flags.String("arch", "", "only these, with commas: amd64,arm64,armv7,armv6")
	count := flags.Uint64("count", 1000, "events for each")
	if err := flags.Parse(args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "gateway-cross-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	failed, ran := 0, 0
	for _, t := range targets() {
		if *only != "" && !strings.Contains(","+*only+",", ","+t.name+",") {
			continue
		}
		ran++
		began := time.Now()
		verdict, err := t.test(ctx, dir, *dist, *count)
		if err != nil {
			failed++
			verdict = "FAILED: " + err.Error()
		}
		fmt.Printf("%-6s %s (%s)\n", t.name, verdict, time.Since(began).Round(100*time.Millisecond))
	}
	if failed > 0 || ran == 0 {
		return fmt.Errorf("%d of %d processors failed", failed, ran)
	}
	return nil
}

// test returns the verdict in words. A missing emulator is a failure in CI only.
func (t target) test(ctx context.Context, dir, dist string, count uint64) (string, error) {
	wrapper, err := t.wrapper()
	if err != nil {
		if os.Getenv("CI") == "true" {
			return "", err
		}
		return "skipped: " + err.Error(), nil
	}
	program := filepath.Join(dir, "gateway-linux-"+t.name)
	if dist != "" {
		if program, err = filepath.Abs(filepath.Join(dist, "gateway-linux-"+t.name)); err != nil {
			return "", err
		}
	} else if err := rig.Build(ctx, program, "./cmd/gateway", append([]string{"GOOS=linux"}, t.env...)...); err != nil {
		return "", err
	}
	world := filepath.Join(dir, t.name)
	if err := os.Mkdir(world, 0o755); err != nil {
		return "", err
	}
	return survive(ctx, rig.Gateway{Program: program, Wrapper: wrapper, Dir: world, Name: "gateway"}, count)
}

// wrapper is what the binary must be run with: nothing on the machine's own processor.
func (t target) wrapper() ([]string, error) {
	if t.name == runtime.GOARCH {
		return nil, nil
	}
	path, err := exec.LookPath(t.emulator[0])
	if err != nil {
		return nil, fmt.Errorf("%s is not installed (apt-get install qemu-user)", t.emulator[0])
	}
	return append([]string{path}, t.emulator[1:]...), nil
}

// survive publishes with the line down, kills, and counts what arrives when the line is up.
func survive(ctx context.Context, g rig.Gateway, count uint64) (string, error) {
	upstream, err := rig.StartMosquitto(ctx, g.Dir, "upstream", "")
	if err != nil {
		return "", err
	}
	defer upstream.Kill()
	line, err := faultproxy.New(upstream.Addr)
	if err != nil {
		return "", err
	}
	defer func() { _ = line.Close() }()
	line.SetDown()
	counter, err := load.Subscribe(upstream.Addr, "counter", "#", 10*time.Second)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithCancel(ctx)
	counted := make(chan error, 1)
	go func() { counted <- counter.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-counted; err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	g.Upstream = line.Addr()
	first, err := g.Start(ctx)
	if err != nil {
		return "", err
	}
	result, err := load.Run(ctx, load.Config{
		Addr: first.Addr, Clients: 10, Window: 10, QoS: 1, Payload: load.JSON, Size: 128, Devices: 20, Seed: 1, Prefix: "cross",
		Count: count, Patience: time.Minute,
	})
	first.Kill()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, first.Tail())
	}
	if n := counter.Received(); n > 0 {
		return "", fmt.Errorf("%d events arrived while the line was down", n)
	}
	line.SetUp()
	second, err := g.Start(ctx)
	if err != nil {
		return "", err
	}
	defer second.Kill()
	if !rig.Poll(ctx, 2*time.Minute, func() bool { return counter.Distinct() >= count }) {
		return "", fmt.Errorf("%d of %d acknowledged events arrived: %s", counter.Distinct(), count, second.Tail())
	}
	if err := second.Stop(time.Minute); err != nil {
		return "", err
	}
	if counter.Distinct() != count {
		return "", errors.New("more arrived than was published")
	}
	return fmt.Sprintf("PASSED: %d published at %.0f/s, killed, %d delivered, %d of them twice", result.Acknowledged, result.PerSecond,
		counter.Distinct(), counter.Received()-counter.Distinct()), nil
}

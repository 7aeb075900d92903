// Command torture kills the gateway under load, again and again, and then sends two gigabytes through a log that is
// built for 32 bits. It exits with 1 where anything that was acknowledged is lost, out of order or there twice, or
// where the gateway does not accept again within a second.
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
	"time"

	"gateway/test/rig"
	"gateway/test/storm"
)

// errMissed says that a promise was not kept.
var errMissed = errors.New("torture: NOT PASSED")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	cfg := storm.Config{Out: os.Stdout}
	flags := flag.NewFlagSet("torture", flag.ContinueOnError)
	flags.IntVar(&cfg.Rounds, "rounds", 200, "kills of the gateway; 0 for none")
	flags.IntVar(&cfg.Sensors, "clients", 10, "clients that publish")
	flags.IntVar(&cfg.Window, "window", 50, "publishes in flight on each client")
	flags.Float64Var(&cfg.Rate, "rate", 10_000, "publishes a second of all clients")
	flags.Uint64Var(&cfg.Seed, "seed", uint64(time.Now().UnixNano()), "of when is killed and what the line does")
	flags.DurationVar(&cfg.Within, "accept-within", time.Second, "longest time from a start to the first acknowledgement")
	flags.StringVar(&cfg.Program, "gateway", "", "the binary; built where it is not given")
	volume := flags.String("bytes", "2GB", "payload through the 32-bit log; 0 for none")
	keep := flags.String("dir", "", "`folder` for logs and data, kept; a temporary one where it is not given")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if cfg.Rounds > 0 {
		if err := kills(ctx, cfg, *keep); err != nil {
			return err
		}
	}
	if *volume == "0" {
		return nil
	}
	return narrow(ctx, *volume)
}

// kills runs the storm and prints its verdict.
func kills(ctx context.Context, cfg storm.Config, keep string) error {
	dir, clean, err := folder(keep)
	if err != nil {
		return err
	}
	defer clean()
	cfg.Dir = dir
	if cfg.Program == "" {
		cfg.Program = filepath.Join(dir, "gateway-under-test")
		if err := rig.Build(ctx, cfg.Program, "./cmd/gateway"); err != nil {
			return err
		}
	}
	if cfg.Program, err = filepath.Abs(cfg.Program); err != nil {
		return err
	}
	fmt.Printf("%d rounds of kill -9, %d clients, QoS 1 and 2, seed %d, in %s\n", cfg.Rounds, cfg.Sensors, cfg.Seed, dir)
	outcome, err := storm.Run(ctx, cfg)
	if outcome != nil {
		fmt.Print(outcome.Text(cfg.Within))
	}
	if err != nil {
		return fmt.Errorf("the torture could not be finished (seed %d): %w", cfg.Seed, err)
	}
	if !outcome.OK() {
		return fmt.Errorf("%w (seed %d)", errMissed, cfg.Seed)
	}
	fmt.Println("torture: PASSED: nothing lost, nothing out of order, no duplicate left")
	return nil
}

// folder returns an empty folder and what removes it.
func folder(keep string) (dir string, clean func(), err error) {
	if keep == "" {
		dir, err = os.MkdirTemp("", "gateway-torture-")
		return dir, func() { _ = os.RemoveAll(dir) }, err
	}
	dir, err = filepath.Abs(keep)
	if err != nil {
		return "", nil, err
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		return "", nil, fmt.Errorf("%s is not empty", dir)
	}
	return dir, func() {}, os.MkdirAll(dir, 0o755)
}

// narrow runs the volume test of test/volume as a 32-bit program.
func narrow(ctx context.Context, bytes string) error {
	top, err := rig.Top()
	if err != nil {
		return err
	}
	fmt.Printf("%s of payload through the log, built with GOARCH=386\n", bytes)
	cmd := exec.CommandContext(ctx, "go", "test", "-count", "1", "-timeout", "60m", "-v", "-run", "^TestVolume$", "./test/volume")
	cmd.Dir, cmd.Stdout, cmd.Stderr = top, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "GOARCH=386", "CGO_ENABLED=0", "GATEWAY_VOLUME="+bytes)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: the 32-bit log: %w", errMissed, err)
	}
	fmt.Println("32-bit log: PASSED")
	return nil
}

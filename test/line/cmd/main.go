// Command line runs the gateway on a bad line, a thousand faults over, and exits with 1 where delivery broke its promise.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"gateway/test/line"
	"gateway/test/rig"
)

// errMissed says that a promise was not kept.
var errMissed = errors.New("line: NOT PASSED")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	cfg := line.Config{Out: os.Stdout}
	flags := flag.NewFlagSet("line", flag.ContinueOnError)
	flags.IntVar(&cfg.Faults, "faults", 1000, "faults of the line")
	flags.IntVar(&cfg.Legs, "legs", 12, "gateways that share them: every other one with catch_up live_first, two with each window")
	flags.Uint64Var(&cfg.Seed, "seed", uint64(time.Now().UnixNano()), "of the faults and the windows")
	flags.StringVar(&cfg.Program, "gateway", "", "the binary; built where it is not given")
	keep := flags.String("dir", "", "`folder` for logs and data, kept; a temporary one where it is not given")
	if err := flags.Parse(args); err != nil {
		return err
	}
	dir, clean, err := folder(*keep)
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
	fmt.Printf("%d faults in %d legs, seed %d, in %s\n", cfg.Faults, cfg.Legs, cfg.Seed, dir)
	outcome, err := line.Run(ctx, cfg)
	if outcome != nil {
		fmt.Print(outcome.Text())
	}
	if err != nil {
		return fmt.Errorf("the faults could not be finished (seed %d): %w", cfg.Seed, err)
	}
	if !outcome.OK() {
		return fmt.Errorf("%w (seed %d)", errMissed, cfg.Seed)
	}
	fmt.Println("line: PASSED")
	return nil
}

// folder returns the folder to work in and what removes it.
func folder(keep string) (dir string, clean func(), err error) {
	if keep == "" {
		dir, err = os.MkdirTemp("", "gateway-line-")
		return dir, func() { _ = os.RemoveAll(dir) }, err
	}
	if dir, err = filepath.Abs(keep); err != nil {
		return "", nil, err
	}
	return dir, func() {}, os.MkdirAll(dir, 0o755)
}

// Command powercut cuts the power of a virtual machine that runs the gateway under load, boots it again, and looks
// whether every event whose acknowledgement had left the machine is in the log. From a log of all writes and flushes it
// also rebuilds the disk as a cut at many other moments would have left it. In the same rig a control that does not sync must lose
// events, and one that does must not. It exits with 1 where the gateway or the rig fails in that. docs/power.md has more.
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

	"gateway/test/vm"
)

// errMissed says that a promise was not kept, or that the rig could not have told.
var errMissed = errors.New("powercut: NOT PASSED")

// settings are the flags.
type settings struct {
	cuts, positions, guests                int
	controlCuts, controlPositions, clients int
	rate                                   float64
	seed                                   uint64
	dir                                    string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	var s settings
	flags := flag.NewFlagSet("powercut", flag.ContinueOnError)
	flags.IntVar(&s.cuts, "cuts", 30, "power cuts under load")
	flags.IntVar(&s.positions, "positions", 200, "positions of the write log at which the disk is rebuilt, spread over the cuts")
	flags.IntVar(&s.guests, "guests", 5, "rebuilt disks that the machine is booted from as well")
	flags.IntVar(&s.controlCuts, "control-cuts", 3, "power cuts of each of the two controls")
	flags.IntVar(&s.controlPositions, "control-positions", 20, "positions of each of the two controls")
	flags.IntVar(&s.clients, "clients", 4, "clients that publish")
	flags.Float64Var(&s.rate, "rate", 1000, "publishes a second of all clients, at most")
	flags.Uint64Var(&s.seed, "seed", uint64(time.Now().UnixNano()), "of when the power is cut and what the disk loses")
	flags.StringVar(&s.dir, "dir", "", "`folder` for images and consoles, kept; otherwise a temporary one, kept only after a failure")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if s.cuts < 1 || s.controlCuts < 1 || s.positions < 1 || s.controlPositions < 1 || s.clients < 1 || s.rate <= 0 {
		return errors.New("cuts, positions, clients and the rate must be positive, also those of the control")
	}
	return s.prove(ctx)
}

// prove runs both campaigns and gives the verdict.
func (s *settings) prove(ctx context.Context) error {
	started := time.Now()
	rig, err := s.prepare(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("seed %d, in %s\n", s.seed, rig.dir)
	careless := rig.campaign(appendMode, s.controlCuts, s.controlPositions, 0)
	careful := rig.campaign(syncMode, s.controlCuts, s.controlPositions, 0)
	gateway := rig.campaign(gatewayMode, s.cuts, s.positions, s.guests)
	err = errors.Join(careless.run(ctx), careful.run(ctx), gateway.run(ctx))
	fmt.Printf("\n%s\n%s\n%s\n", gateway.tally.text("gateway, acknowledges after the sync"),
		careless.tally.text("control that must lose: appends, acknowledges, does not sync"),
		careful.tally.text("control that must not lose: the same with a sync"))
	if err == nil {
		err = verdict(&gateway.tally, &careless.tally, &careful.tally)
	}
	if err != nil {
		return fmt.Errorf("%w (seed %d; images and consoles are in %s)", err, s.seed, rig.dir)
	}
	fmt.Printf("powercut: PASSED in %s: what was acknowledged is there after every cut, and every log opened\n", time.Since(started).Round(time.Second))
	if s.dir != "" {
		return nil
	}
	return os.RemoveAll(rig.dir)
}

// verdict is nil where the gateway kept its promise in a rig that can tell: one in which a server that does not sync loses
// what it acknowledged, and the same server loses nothing where it syncs.
func verdict(gateway, careless, careful *tally) error {
	switch {
	case len(careless.failures) > 0 || len(careful.failures) > 0:
		return fmt.Errorf("%w: a control did not do what it must, so the rig is wrong", errMissed)
	case careless.cuts.losing == 0 || careless.bare.losing == 0:
		return fmt.Errorf("%w: the rig cannot tell: a server that does not sync lost nothing", errMissed)
	case len(gateway.failures) > 0:
		return fmt.Errorf("%w: %d failures", errMissed, len(gateway.failures))
	}
	for _, t := range []*tally{gateway, careful} {
		if t.cuts.due == 0 || t.bare.due == 0 {
			return fmt.Errorf("%w: nothing was acknowledged, so nothing is proved", errMissed)
		}
	}
	return nil
}

// prepare finds or fetches what the machine needs, and builds what runs in it.
func (s *settings) prepare(ctx context.Context) (*powercut, error) {
	if err := vm.Need(tools); err != nil {
		return nil, err
	}
	k, err := findKernel(ctx)
	if err != nil {
		return nil, err
	}
	dir := s.dir
	if dir == "" {
		dir, err = os.MkdirTemp("", "gateway-powercut-")
	} else {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	r := &powercut{dir: dir, kernel: k, seed: s.seed, clients: s.clients, rate: s.rate}
	if r.initramfs, err = bootFile(ctx, k, dir); err != nil && s.dir == "" {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return r, err
}

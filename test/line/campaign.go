// Package line proves delivery over a bad line: the real gateway publishes through a proxy that cuts, silences, slows and delays
// its connection to a real Mosquitto, a thousand times over, while sensors publish to it. By a sequence in each payload it checks that
// all that was acknowledged arrives, in order by source and lane, once when repeated IDs are dropped, and that what is sent again after a
// fault is bounded by the window.
package line

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// Config is a campaign.
type Config struct {
	// Program is the gateway's binary, Dir an empty folder for logs and data.
	Program, Dir string
	Faults, Legs int
	Seed         uint64
	// Out gets a line for each leg.
	Out io.Writer
}

// windows are what a leg draws its window from.
var windows = []int{1, 2, 7, 50, 200, 1000}

// Ways to catch up.
const (
	inOrder   = "in_order"
	liveFirst = "live_first"
)

// Run needs an installed Mosquitto. Its error says that the campaign could not be finished; what it found by then is in the outcome.
func Run(ctx context.Context, cfg Config) (*Outcome, error) {
	rng := rand.New(rand.NewPCG(cfg.Seed, 1))
	x, err := measure(ctx, cfg.Program, cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("measure an exchange: %w", err)
	}
	plan := newPlan(x, cfg.Faults, rng)
	o := &Outcome{exchange: x}
	order := rng.Perm(len(windows))
	for n := range cfg.Legs {
		l := &leg{Gateway: Gateway{Program: cfg.Program, Dir: cfg.Dir, Name: fmt.Sprintf("leg-%d", n+1), AckTimeout: ackTimeout}, seed: cfg.Seed + uint64(n)}
		l.CatchUp = []string{inOrder, liveFirst}[n%2]
		l.Window = windows[order[n/2%len(windows)]]
		l.faults = plan[len(plan)*n/cfg.Legs : len(plan)*(n+1)/cfg.Legs]
		start := time.Now()
		got, err := l.run(ctx)
		if got != nil {
			o.Legs = append(o.Legs, got)
			_, _ = fmt.Fprintf(cfg.Out, "leg %2d/%d: %s, %s\n", n+1, cfg.Legs, got, time.Since(start).Round(time.Second))
		}
		if err != nil {
			return o, fmt.Errorf("leg %d (%s, window %d), log %s: %w", n+1, l.CatchUp, l.Window, l.log(), err)
		}
	}
	return o, nil
}

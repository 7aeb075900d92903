// Package storm kills the gateway again and again while sensors publish to it and the line to its upstream comes and
// goes, and checks by what the sensors were told and what the upstream received that nothing was lost.
package storm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"gateway/internal/faultproxy"
	"gateway/test/history"
	"gateway/test/rig"
)

// Config is one storm.
type Config struct {
	// Program is the gateway's binary, Dir an empty folder for logs and data.
	Program, Dir string
	Rounds       int
	// Sensors publish Rate events a second together, each with at most Window in flight.
	Sensors, Window int
	Rate            float64
	Seed            uint64
	// Within is how soon after its start the gateway must have acknowledged a publish.
	Within time.Duration
	// Out gets a line for each round.
	Out io.Writer
}

// Outcome is what a storm came to.
type Outcome struct {
	history.Report
	// Restarts are the times from exec to the first acknowledgement, sorted; Slow is how many took longer than Within.
	Restarts []time.Duration
	Slow     int
}

// OK tells whether the promise held.
func (o *Outcome) OK() bool { return o.Faults() == 0 && o.Slow == 0 && o.Acknowledged > 0 }

// storm is a run. Its fields are set up by Run before anything starts.
type storm struct {
	cfg      Config
	rng      *rand.Rand
	hist     *history.History
	first    firstAck
	gateway  rig.Gateway
	process  *rig.Broker // of the driving goroutine
	restarts []time.Duration
}

// Run needs an installed Mosquitto. The error says that the storm could not be finished; what it found is in the Outcome.
func Run(ctx context.Context, cfg Config) (*Outcome, error) {
	upstream, err := rig.StartMosquitto(ctx, cfg.Dir, "upstream", "")
	if err != nil {
		return nil, err
	}
	defer upstream.Kill()
	line, err := faultproxy.New(upstream.Addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = line.Close() }()
	s := &storm{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 1)), hist: history.New(cfg.Sensors)}
	s.gateway = rig.Gateway{Program: cfg.Program, Dir: cfg.Dir, Name: "gateway", Upstream: line.Addr(), AckTimeout: time.Second}
	record, err := subscribe(upstream.Addr, s.hist)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	recorded := make(chan error, 1)
	go func() {
		defer cancel() // without a witness there is no use in going on
		recorded <- record.run(ctx)
	}()
	err = s.run(ctx, line)
	if s.process != nil {
		s.process.Kill()
	}
	cancel()
	err = errors.Join(err, <-recorded)
	return s.outcome(), err
}

func (s *storm) outcome() *Outcome {
	slices.Sort(s.restarts)
	o := &Outcome{Report: s.hist.Final(), Restarts: s.restarts}
	for _, d := range s.restarts {
		if d > s.cfg.Within {
			o.Slow++
		}
	}
	return o
}

// run starts the gateway, drives the rounds while sensors and weather work, and waits until all has arrived.
func (s *storm) run(ctx context.Context, line *faultproxy.Proxy) error {
	s.first.next()
	var err error
	if s.process, err = s.gateway.Start(ctx); err != nil {
		return err
	}
	stop := make(chan struct{})
	group, working := errgroup.WithContext(ctx)
	for n := range s.cfg.Sensors {
		sensor := &sensor{
			n: n, addr: s.gateway.Addr, window: s.cfg.Window, hist: s.hist, first: &s.first, due: time.Now(),
			every: time.Duration(float64(s.cfg.Sensors) / s.cfg.Rate * float64(time.Second)),
		}
		group.Go(func() error { return sensor.run(working, stop) })
	}
	group.Go(func() error {
		weather(working, stop, line, rand.New(rand.NewPCG(s.cfg.Seed, 2)))
		return nil
	})
	group.Go(func() error {
		defer close(stop)
		return s.rounds(working)
	})
	if err := group.Wait(); err != nil {
		return err
	}
	if err := s.drain(ctx); err != nil {
		return err
	}
	return s.process.Stop(30 * time.Second)
}

func (s *storm) rounds(ctx context.Context) error {
	for round := range s.cfg.Rounds {
		after := time.Duration(20+s.rng.IntN(1200)) * time.Millisecond
		if s.rng.IntN(4) == 0 {
			after = time.Duration(s.rng.IntN(40_000)) * time.Microsecond // at its first acknowledgements
		}
		if err := wait(ctx, after); err != nil {
			return err
		}
		took, early, err := s.killAndRestart(ctx)
		if err != nil {
			return fmt.Errorf("round %d: %w", round+1, err)
		}
		s.restarts = append(s.restarts, took)
		r := s.hist.Snapshot()
		_, _ = fmt.Fprintf(s.cfg.Out, "round %3d/%d: killed after %4d ms%s, first ack %4d ms after the start; acknowledged %d, arrived %d, pending %d, sent again %d, faults %d\n",
			round+1, s.cfg.Rounds, after.Milliseconds(), early, took.Milliseconds(), r.Acknowledged, r.Arrived, r.Pending, r.Resent, r.Faults()-r.Pending)
	}
	return nil
}

// killAndRestart kills the gateway, in one case of five once more while it starts, and waits for its first acknowledgement.
func (s *storm) killAndRestart(ctx context.Context) (took time.Duration, early string, err error) {
	s.process.Kill()
	if s.rng.IntN(5) == 0 {
		if s.process, err = s.gateway.Launch(); err != nil {
			return 0, "", err
		}
		if err := wait(ctx, time.Duration(s.rng.IntN(60))*time.Millisecond); err != nil {
			return 0, "", err
		}
		s.process.Kill()
		early = ", and while starting"
	}
	s.first.next()
	if s.process, err = s.gateway.Launch(); err != nil {
		return 0, "", err
	}
	err = s.process.WaitUntil(ctx, 30*time.Second, func() error {
		if _, ok := s.first.when(); !ok {
			return errors.New("no sensor has an acknowledgement")
		}
		return nil
	})
	at, _ := s.first.when()
	return at.Sub(s.process.Started), early, err
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// drain waits while acknowledged events still arrive; half a minute without one ends it.
func (s *storm) drain(ctx context.Context) error {
	for {
		before := s.hist.Snapshot()
		if before.Pending == 0 {
			return nil
		}
		moved := rig.Poll(ctx, 30*time.Second, func() bool {
			r := s.hist.Snapshot()
			return r.Arrived > before.Arrived || r.Pending == 0
		})
		select {
		case <-s.process.Done():
			return fmt.Errorf("the gateway ended while it was to deliver the rest: %w: %s", s.process.Err(), s.process.Tail())
		default:
		}
		if !moved {
			return nil // the outcome counts what is missing
		}
	}
}

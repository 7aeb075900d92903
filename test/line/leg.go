package line

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"gateway/internal/faultproxy"
	"gateway/test/rig"
)

const (
	sensors = 4
	rate    = 1000 // publishes a second of all sensors
)

// leg is one gateway with one way of delivery, and its share of the faults.
type leg struct {
	Gateway
	seed   uint64
	faults []fault
	ledger *ledger
	sends  *sends
}

// LegOutcome is what a leg came to.
type LegOutcome struct {
	Counts
	CatchUp  string
	Window   int
	Faults   int // done to the line
	Lost     int // connections on which something was published, but for the last
	Resent   int // publishes that had been sent on an earlier connection
	MostOnce int // of them on one connection
	// Noticed are the times by which silence was noticed, Greeted those where it came before CONNACK.
	Noticed, Greeted []time.Duration
	Examples         []string
}

// run starts the gateway and an upstream of its own, and returns when all faults are done and what can arrive has arrived.
func (l *leg) run(ctx context.Context) (*LegOutcome, error) {
	upstream, err := rig.StartMosquitto(ctx, l.Dir, l.Name+"-upstream", "")
	if err != nil {
		return nil, err
	}
	defer upstream.Kill()
	line, err := faultproxy.New(upstream.Addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = line.Close() }()
	l.ledger, l.sends = newLedger(sensors), newSends()
	line.Observe(l.sends.observe)
	record, err := subscribe(upstream.Addr, l.ledger)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	recorded := make(chan error, 1)
	go func() {
		err := record.run(ctx)
		cancel(err) // without a witness there is no use in going on
		recorded <- err
	}()
	l.Upstream = line.Addr()
	inject := &injector{line: line, ledger: l.ledger, rng: rand.New(rand.NewPCG(l.seed, 2))}
	err = l.deliver(ctx, inject)
	cancel(nil)
	err = errors.Join(err, <-recorded)
	return l.outcome(inject), err
}

func (l *leg) outcome(i *injector) *LegOutcome {
	o := &LegOutcome{CatchUp: l.CatchUp, Window: l.Window, Faults: len(l.faults), Noticed: i.took, Greeted: i.greeted}
	o.Counts, o.Examples = l.ledger.final()
	t := l.sends.tally()
	o.Lost, o.Resent, o.MostOnce = max(t.published-1, 0), t.resent, t.most
	return o
}

// deliver runs the gateway from its start to its end.
func (l *leg) deliver(ctx context.Context, i *injector) error {
	server, err := l.Start(ctx)
	if err != nil {
		return err
	}
	defer server.Kill()
	if err := l.publishing(ctx, server.Addr, func(ctx context.Context) error { return l.storm(ctx, i) }); err != nil {
		return fmt.Errorf("%w: %s", err, server.Tail())
	}
	if err := l.drain(ctx); err != nil {
		return fmt.Errorf("%w: %s", err, server.Tail())
	}
	return server.Stop(30 * time.Second)
}

// publishing runs work while sensors publish to addr, and returns when all that they published is acknowledged.
func (l *leg) publishing(ctx context.Context, addr string, work func(context.Context) error) error {
	stop := make(chan struct{})
	group, ctx := errgroup.WithContext(ctx)
	for n := range sensors {
		s := &sensor{n: n, addr: addr, every: sensors * time.Second / rate, ledger: l.ledger}
		group.Go(func() error { return s.run(ctx, stop) })
	}
	group.Go(func() error {
		defer close(stop)
		return work(ctx)
	})
	return group.Wait()
}

func (l *leg) storm(ctx context.Context, i *injector) error {
	if err := i.progress(ctx); err != nil {
		return err
	}
	for n, f := range l.faults {
		if err := i.inject(ctx, f); err != nil {
			return fmt.Errorf("fault %d of %d: %w", n+1, len(l.faults), err)
		}
	}
	return nil
}

// drain waits while acknowledged events still arrive; what is missing then is in the outcome.
func (l *leg) drain(ctx context.Context) error {
	for {
		before := l.ledger.snapshot()
		if before.Pending == 0 {
			return nil
		}
		moved := rig.Poll(ctx, 30*time.Second, func() bool {
			c := l.ledger.snapshot()
			return c.Arrived > before.Arrived || c.Pending == 0
		})
		if !moved {
			return ctx.Err()
		}
	}
}

// measure finds the sizes of an exchange, with a gateway like those of the legs.
func measure(ctx context.Context, program, dir string) (exchange, error) {
	l := &leg{Gateway: Gateway{Program: program, Dir: dir, Name: "measured"}}
	if _, err := l.run(ctx); err != nil {
		return exchange{}, err
	}
	t := l.sends.tally()
	if t.connectSize == 0 || t.publishSize == 0 {
		return exchange{}, errors.New("no CONNECT or no PUBLISH was seen")
	}
	return exchange{t.connectSize, t.publishSize}, nil
}

// log is the file with what the gateway printed.
func (l *leg) log() string { return filepath.Join(l.Dir, l.Name+".log") }

// Package demo shows the gateway at work, and checks it: simulated sensors publish to a real gateway over TCP, a second
// real broker is the upstream, and the line between them fails again and again. In the end a ledger compares what the
// sensors were told is safe with what a listener at the upstream has received.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"gateway"
)

// Gateway is a running gateway, as Options.StartGateway makes it.
type Gateway interface {
	// Addr is where its broker listens, "host:port".
	Addr() string
	// Status is called many times a second, by several goroutines, also while Stop runs and after it.
	Status() (gateway.LogStatus, gateway.BrokerStatus, []gateway.ForwarderStatus)
	// Stop stops intake, finishes or gives back what is in flight, and closes the log. It is called once.
	Stop(ctx context.Context) error
}

// Options say what to run. The zero value of a field stands for what its comment names.
type Options struct {
	// StartGateway starts the gateway with its data in dataDir, its broker on listen, and one forwarder of structured
	// CloudEvents to the broker at upstreamURL ("tcp://host:port"), which should find a silent line within a second or
	// two. It is required. What it starts outlives ctx, until Stop, and must not write to the terminal.
	StartGateway func(ctx context.Context, dataDir, listen, upstreamURL string) (Gateway, error)
	// Out gets the live view if it is a terminal, else a line a second; and nothing if it is nil. The ledger is for the
	// caller to print.
	Out io.Writer
	// Getenv looks up NO_COLOR and TERM; nil: neither is set.
	Getenv func(string) string
	// For is how long the sensors publish; 0: until ctx ends.
	For time.Duration
	// Rate is how many readings each sensor publishes in a second; 0: 20.
	Rate float64
	// Seed decides the readings and what happens to the line.
	Seed uint64
	// Pace is how long the line holds and fails, about; 0: 4 s, less where For would not see each kind of trouble.
	Pace time.Duration
	// DataDir keeps the log; "": a new directory among the temporary ones, which is removed at the end.
	DataDir string
	// Drain bounds the time for delivering the rest once the sensors have stopped; 0: a minute.
	Drain time.Duration
	// Abort cuts the drain short when it is closed; for a second Ctrl-C.
	Abort <-chan struct{}
}

func (o Options) withDefaults() Options {
	if o.Getenv == nil {
		o.Getenv = func(string) string { return "" }
	}
	if o.Rate <= 0 {
		o.Rate = 20
	}
	if o.Pace <= 0 {
		o.Pace = 4 * time.Second
		if o.For > 0 { // a round is a pace up and less than one down; four rounds see all troubles
			o.Pace = max(min(o.Pace, o.For/8), 300*time.Millisecond)
		}
	}
	if o.Drain <= 0 {
		o.Drain = time.Minute
	}
	return o
}

// stopTimeout bounds each step of the end that is not the drain.
const stopTimeout = 15 * time.Second

// Run runs the demo until ctx ends or Options.For is over, drains, and returns the ledger. The end of ctx is no error:
// an error says that the demo itself could not be run, or that its ledger cannot be trusted. The line is mended and
// everything is stopped and removed before it returns.
func Run(ctx context.Context, o Options) (Ledger, error) {
	if o.StartGateway == nil {
		return Ledger{}, errors.New("demo: no StartGateway")
	}
	o = o.withDefaults()
	dir, remove, err := dataDir(o.DataDir)
	if err != nil {
		return Ledger{}, err
	}
	w, err := build(ctx, o, dir)
	if err != nil {
		return Ledger{}, errors.Join(err, remove())
	}
	show := startShow(w, o)
	w.publish(ctx, o)
	drained := w.drain(o)
	ledger, err := w.close(context.WithoutCancel(ctx), drained)
	show.stop()
	return ledger, errors.Join(err, remove())
}

// dataDir returns the directory for the log and what is to be done with it in the end.
func dataDir(given string) (dir string, remove func() error, err error) {
	if given != "" {
		return given, func() error { return nil }, nil
	}
	dir, err = os.MkdirTemp("", "gateway-demo-")
	if err != nil {
		return "", nil, fmt.Errorf("make a data directory for the demo: %w", err)
	}
	return dir, func() error { return os.RemoveAll(dir) }, nil
}

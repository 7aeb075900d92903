// Package forwarder delivers the log to a sink: next, send, settle. It owns durable places in the log, retries for as long as it
// takes, keeps the order, and moves what can never be accepted to the dead letters in the same write that moves the place.
//
// A forwarder has lanes: one for each priority and, where live events come first, one for the backlog of each. A lane reads the log in
// order, sends what is its own, and settles it. The gate (gate.go) says which lane may send.
package forwarder

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"gateway"
)

// Log is what a forwarder needs of the log. It is safe for concurrent use.
type Log interface {
	// Submit hands b to the log's writer and returns; done is called, from another goroutine, when b is durable
	// (err nil) or never will be. An error of Submit itself means that nothing was taken, and done is not called.
	Submit(ctx context.Context, b gateway.Batch, done func(last gateway.Offset, err error)) error
	// NewReader reads what lies behind after.
	NewReader(after gateway.Offset) gateway.Reader
	// Scan calls fn with each durable key that begins with prefix, and its value.
	Scan(prefix string, fn func(key string, value []byte) error) error
	// Status is a snapshot of the log.
	Status() gateway.LogStatus
}

// Forwarder delivers events to one sink. Status may be called from any goroutine.
type Forwarder struct {
	o       Options
	routing *routing
	memory  memory
	lanes   []*lane
	gate    gate
	broken  chan error  // of size one: the log could not keep what was settled
	wasUp   atomic.Bool // something was delivered since the start
	requeue *requeue
	replays *replays

	mu       sync.Mutex // guards what follows
	status   gateway.ForwarderStatus
	trouble  trouble
	deaths   deaths
	spent    *meter
	book     letterBook
	attempts attempts
	// spentSince is what was spent since spentSaved, when that was written down.
	spentSince int
	spentSaved time.Time
	puzzled    time.Time     // when a condition that said nothing was logged
	recent     gateway.Entry // what was delivered last
	trusted    func() bool   // whether events expire by the clock now; nil for always
}

// New checks o and registers the forwarder's places, if the log does not know them yet: from then on the log keeps what the
// forwarder has not settled. If its routes have changed, what it had settled by the old ones is not delivered again. The error has all
// that is wrong, a line each.
func New(o Options) (*Forwarder, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("forwarder %q: %w", o.Name, err)
	}
	f := &Forwarder{
		o:      o,
		broken: make(chan error, 1),
		status: gateway.ForwarderStatus{Name: o.Name, Sink: o.Sink.Name(), State: gateway.StateStopped, Since: time.Now(), Answers: map[string]uint64{}},
	}
	f.trusted = func() bool { return o.Log.Status().Clock.Synced }
	var err error
	if f.routing, err = newRouting(o.Routes, o.Compile); err != nil {
		return nil, fmt.Errorf("forwarder %q: %w", o.Name, err)
	}
	if err := f.takeOver(); err != nil {
		return nil, fmt.Errorf("forwarder %q: %w", o.Name, err)
	}
	if err := f.recall(); err != nil {
		return nil, fmt.Errorf("forwarder %q: %w", o.Name, err)
	}
	f.requeue = newRequeue(o.Log, o.Name)
	if err := errors.Join(f.readBook(), f.readReplays()); err != nil {
		return nil, fmt.Errorf("forwarder %q: %w", o.Name, err)
	}
	tracks, err := f.place()
	if err != nil {
		return nil, fmt.Errorf("forwarder %q: %w", o.Name, err)
	}
	for i := range tracks {
		f.lanes = append(f.lanes, f.newLane(&tracks[i], placeLive))
		if o.CatchUp == LiveFirst {
			f.lanes = append(f.lanes, f.newLane(&tracks[i], placeBacklog))
		}
	}
	f.status.Settled = f.settledAll()
	return f, nil
}

// Run delivers until ctx ends. Then it gives a Send under way DrainTimeout to finish, settles what was delivered, and
// returns nil; the rest stays in the log. Another error is the log's, and final. Run may be called once.
func (f *Forwarder) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	sending, giveUp := context.WithCancelCause(context.WithoutCancel(ctx))
	defer giveUp(nil)
	f.started()

	ended := make(chan struct{})
	var watching, running sync.WaitGroup
	var broken error
	watching.Go(func() {
		if broken = f.watch(ctx, giveUp, ended); broken != nil {
			stop()
			giveUp(broken)
		}
	})
	parts := []func(ctx, sending context.Context) error{f.redeliver, f.replays.run}
	for _, l := range f.lanes {
		parts = append(parts, l.run)
	}
	errs := make([]error, len(parts))
	for i, run := range parts {
		running.Go(func() {
			if err := run(ctx, sending); !errors.Is(err, errStopping) {
				errs[i] = err
			}
			stop() // one for all
		})
	}
	running.Go(func() { f.keepAges(ctx) })
	running.Wait()
	stop()
	close(ended)
	watching.Wait()
	f.saveAllSpent()
	f.stopped()
	return errors.Join(append(errs, broken)...)
}

// errDrained ends a Send that took longer than DrainTimeout.
var errDrained = errors.New("the gateway is stopping")

// watch waits for the end of the run, and ends a Send under way that takes longer than DrainTimeout after that. It returns early if the log fails.
func (f *Forwarder) watch(ctx context.Context, giveUp context.CancelCauseFunc, ended <-chan struct{}) error {
	select {
	case err := <-f.broken:
		return fmt.Errorf("forwarder %q: settle: %w", f.o.Name, err)
	case <-ctx.Done():
	}
	timer := time.NewTimer(f.o.DrainTimeout)
	defer timer.Stop()
	select {
	case err := <-f.broken:
		return fmt.Errorf("forwarder %q: settle: %w", f.o.Name, err)
	case <-timer.C:
		giveUp(errDrained)
	case <-ended:
	}
	return nil
}

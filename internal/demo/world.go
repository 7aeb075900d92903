package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"gateway/devices"
	"gateway/internal/faultproxy"
)

// simulatedDay is how long a day takes in the greenhouse, so that the readings move while one watches.
const simulatedDay = time.Minute

// The phases that more than one place names.
const (
	phaseRunning  = "running"
	phaseDraining = "draining"
	phaseDone     = "done"
)

// world is everything that a run is made of.
type world struct {
	seed     uint64
	started  time.Time
	stopped  time.Time // when the sensors were told to stop
	book     *book
	upstream *upstream
	listener *listener
	line     *line
	gateway  Gateway
	sensors  []*sensor
	phase    atomic.Pointer[string] // what is going on, for the eye
}

// build starts everything but the sensors and the trouble. What it started before a failure, it stops.
func build(ctx context.Context, o Options, dir string) (w *world, err error) {
	w = &world{seed: o.Seed, started: time.Now()}
	w.enter(phaseRunning)
	defer func() {
		if err != nil {
			err = errors.Join(err, w.closePeers())
			w = nil
		}
	}()
	simulations := devices.Simulations(o.Seed, w.started, simulatedDay)
	names := make([]string, len(simulations))
	for i, s := range simulations {
		names[i] = s.Name()
	}
	w.book = newBook(names)
	if w.upstream, err = startUpstream(); err != nil {
		return w, err
	}
	if w.listener, err = startListener(ctx, w.upstream.addr, w.book); err != nil {
		return w, err
	}
	proxy, err := faultproxy.New(w.upstream.addr)
	if err != nil {
		return w, err
	}
	w.line = newLine(proxy, o.Seed, o.Pace)
	if w.gateway, err = o.StartGateway(ctx, dir, "127.0.0.1:0", "tcp://"+proxy.Addr()); err != nil {
		return w, fmt.Errorf("start the gateway: %w", err)
	}
	for i, s := range simulations {
		interval := time.Duration(float64(time.Second) / o.Rate)
		w.sensors = append(w.sensors, &sensor{index: i, device: s, addr: w.gateway.Addr(), interval: interval, book: w.book})
	}
	return w, nil
}

func (w *world) enter(phase string) { w.phase.Store(&phase) }

// publish lets sensors and trouble run until ctx or the time is over, and the sensors then wait for their last acknowledgements.
func (w *world) publish(ctx context.Context, o Options) {
	until, cancel := ctx, context.CancelFunc(func() {})
	if o.For > 0 {
		until, cancel = context.WithTimeout(ctx, o.For)
	}
	defer cancel()
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var all sync.WaitGroup
	for _, s := range w.sensors {
		all.Go(func() { s.run(life, until) })
	}
	all.Go(func() { w.line.run(until) })
	<-until.Done()
	w.stopped = time.Now()
	w.enter("waiting for the last acknowledgements")
	quiet := make(chan struct{})
	go func() {
		all.Wait()
		close(quiet)
	}()
	bound := time.NewTimer(stopTimeout)
	defer bound.Stop()
	select {
	case <-quiet:
	case <-bound.C:
	case <-o.Abort:
	}
	end()
	<-quiet
}

// drain waits until everything acknowledged has arrived and nothing waits in the log. It returns false if it ran out of time.
func (w *world) drain(o Options) bool {
	w.enter(phaseDraining)
	bound := time.NewTimer(o.Drain)
	defer bound.Stop()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		waiting, failed := w.waiting()
		if w.book.missing() == 0 && waiting == 0 {
			return true
		}
		if failed || w.listener.deaf() {
			return false
		}
		select {
		case <-look.C:
		case <-bound.C:
			return false
		case <-o.Abort:
			return false
		}
	}
}

// waiting is the largest backlog of a forwarder; failed says that the log has stopped for good.
func (w *world) waiting() (most uint64, failed bool) {
	log, _, forwarders := w.gateway.Status()
	for _, f := range forwarders {
		most = max(most, f.Waiting)
	}
	return most, log.Failed != ""
}

// hush waits, for a moment at most, until the listener has heard all that the upstream broker took.
func (w *world) hush() {
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for range 400 {
		if w.book.heard() >= w.upstream.taken() || w.listener.deaf() {
			return
		}
		<-look.C
	}
}

// close stops the gateway and then its peers, and closes the books.
func (w *world) close(ctx context.Context, drained bool) (Ledger, error) {
	w.enter("stopping the gateway")
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	var waiting uint64
	if !drained {
		waiting, _ = w.waiting()
	}
	err := w.gateway.Stop(ctx)
	if err != nil {
		err = fmt.Errorf("stop the gateway: %w", err)
	}
	w.hush()
	if w.listener.deaf() {
		err = errors.Join(err, errors.New("the demo's own listener lost its connection: its ledger proves nothing"))
	}
	if n := w.upstream.dropped(); n > 0 {
		err = errors.Join(err, fmt.Errorf("the demo's own upstream broker dropped %d events: its ledger proves nothing", n))
	}
	err = errors.Join(err, w.closePeers())
	ledger := w.book.ledger()
	ledger.Waiting, ledger.Seed, ledger.Lasted = waiting, w.seed, w.stopped.Sub(w.started)
	_, _, ledger.Cuts = w.line.now()
	w.enter(phaseDone)
	return ledger, err
}

// closePeers closes what there is of the others.
func (w *world) closePeers() error {
	var errs []error
	if w.line != nil {
		errs = append(errs, w.line.proxy.Close())
	}
	if w.listener != nil {
		w.listener.link.close()
	}
	if w.upstream != nil {
		errs = append(errs, w.upstream.close())
	}
	return errors.Join(errs...)
}

package devices

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// owner is the one goroutine that uses a bus or a probe. The kernel may keep it for as long as it likes: whoever waits for it gives up at a deadline, and while
// it is kept everybody else is told so at once, so that neither devices on other buses wait nor goroutines pile up.
type owner struct {
	name  string
	calls chan *call
	quit  chan struct{} // closed by close
	ended chan struct{} // closed by run
	once  sync.Once

	mu      sync.Mutex
	current *call // what run is at, nil if nothing
	stuck   bool  // current has outlived the deadline of somebody
}

// call is one use of what is owned. f runs on the owner's goroutine and must not touch what its caller owns: the caller may be gone.
type call struct {
	what  string
	f     func() error
	begun chan struct{} // closed by run when it takes the call
	done  chan error    // has room for the one result
	since time.Time
}

// newOwner starts the goroutine; close ends it.
func newOwner(name string) *owner {
	o := &owner{name: name, calls: make(chan *call), quit: make(chan struct{}), ended: make(chan struct{})}
	go o.run()
	return o
}

func (o *owner) run() {
	defer close(o.ended)
	for {
		select {
		case c := <-o.calls:
			o.take(c)
			c.done <- c.f()
			o.take(nil)
		case <-o.quit:
			return
		}
	}
}

func (o *owner) take(c *call) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.current, o.stuck = c, false
	if c != nil {
		c.since = time.Now()
		close(c.begun)
	}
}

// do has f run, and waits no longer than timeout for its turn and no longer than timeout for its end. Turns are given in the order in which they
// were asked for, so a device with many transfers does not push out the others. what names the caller's chip.
func (o *owner) do(ctx context.Context, timeout time.Duration, what string, f func() error) error {
	if err := o.stuckError(); err != nil {
		return err
	}
	c := &call{what: what, f: f, begun: make(chan struct{}), done: make(chan error, 1)}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case o.calls <- c:
	case <-ctx.Done():
		return ctx.Err()
	case <-o.quit:
		return fmt.Errorf("%s: %w", o.name, errClosed)
	case <-timer.C:
		if err := o.kept(timeout); err != nil {
			return err
		}
		return faultf(FaultStuck, "%s is busy: %s has waited %s for its turn", o.name, what, timeout)
	}
	<-c.begun
	timer.Reset(timeout)
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done(): // a device that is stopped says nothing about the bus
		return ctx.Err()
	case <-timer.C:
		_ = o.kept(timeout) // the caller whose deadline it is says it in its own words
		return faultf(FaultStuck, "%s: no answer of %s within %s", o.name, what, timeout)
	}
}

// kept marks the owner as stuck if it has been at one call for as long as that, and then says so.
func (o *owner) kept(timeout time.Duration) error {
	o.mu.Lock()
	if o.current != nil && time.Since(o.current.since) >= timeout {
		o.stuck = true
	}
	o.mu.Unlock()
	return o.stuckError()
}

// stuckError is not nil while the goroutine is in a call that has outlived a deadline.
func (o *owner) stuckError() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.stuck {
		return nil
	}
	return faultf(FaultStuck, "%s is stuck: a transfer with %s has not returned for %s", o.name, o.current.what, time.Since(o.current.since).Round(time.Millisecond))
}

// close ends the goroutine and waits for it, but not for ever: what is in the kernel cannot be ended from outside.
func (o *owner) close(wait time.Duration) error {
	o.once.Do(func() { close(o.quit) })
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-o.ended:
		return nil
	case <-timer.C:
		return fmt.Errorf("%s: the kernel still keeps a transfer", o.name)
	}
}

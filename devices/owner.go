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
	current *call         // what run is at, nil if nothing
	since   time.Time     // when it began
	stuck   bool          // current has outlived its deadline
	jam     chan struct{} // closed when it does; a new one follows when it ends
}

// call is one use of what is owned. f runs on the owner's goroutine and must not touch what its caller owns: the caller may be gone.
type call struct {
	what    string
	timeout time.Duration
	f       func() error
	begun   chan struct{}   // closed by run when it takes the call; jam is set then
	jam     <-chan struct{} // the owner's
	done    chan error      // has room for the one result
}

// newOwner starts the goroutine; close ends it.
func newOwner(name string) *owner {
	o := &owner{name: name, calls: make(chan *call), quit: make(chan struct{}), ended: make(chan struct{}), jam: make(chan struct{})}
	go o.run()
	return o
}

func (o *owner) run() {
	defer close(o.ended)
	for {
		select {
		case c := <-o.calls:
			late := time.AfterFunc(c.timeout, func() { o.outlived(c) })
			o.begin(c)
			err := c.f()
			late.Stop()
			o.end()
			c.done <- err
		case <-o.quit:
			return
		}
	}
}

func (o *owner) begin(c *call) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.current, o.since, c.jam = c, time.Now(), o.jam
	close(c.begun)
}

func (o *owner) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.current = nil
	if o.stuck {
		o.stuck, o.jam = false, make(chan struct{})
	}
}

// outlived is for a call whose deadline is over.
func (o *owner) outlived(c *call) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.current == c {
		o.stuck = true
		close(o.jam)
	}
}

// turns is for how many deadlines a call waits for its turn: chips on the same bus that take theirs to the end must not make a sound one a fault.
const turns = 5

// do has f run, and waits no longer than timeout for its end once it runs. Turns are given in the order in which they were asked for, so a device with many
// transfers does not push out the others. what names the caller's chip.
func (o *owner) do(ctx context.Context, timeout time.Duration, what string, f func() error) error {
	jam, err := o.free()
	if err != nil {
		return err
	}
	c := &call{what: what, timeout: timeout, f: f, begun: make(chan struct{}), done: make(chan error, 1)}
	timer := time.NewTimer(turns * timeout)
	defer timer.Stop()
	select {
	case o.calls <- c:
	case <-ctx.Done():
		return ctx.Err()
	case <-o.quit:
		return fmt.Errorf("%s: %w", o.name, errClosed)
	case <-jam:
		if _, err := o.free(); err != nil {
			return err
		}
		return faultf(FaultStuck, "%s was stuck while %s waited for its turn", o.name, what)
	case <-timer.C:
		return faultf(FaultStuck, "%s is busy: %s has waited %s for its turn", o.name, what, turns*timeout)
	}
	<-c.begun
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done(): // a device that is stopped says nothing about the bus
		return ctx.Err()
	case <-c.jam:
		return faultf(FaultStuck, "%s: no answer of %s within %s", o.name, what, timeout)
	}
}

// free returns what is closed when the owner gets stuck; or an error, when it is.
func (o *owner) free() (jam <-chan struct{}, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stuck {
		kept := time.Since(o.since).Round(time.Millisecond)
		return nil, faultf(FaultStuck, "%s is stuck: a transfer with %s has not returned for %s", o.name, o.current.what, kept)
	}
	return o.jam, nil
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

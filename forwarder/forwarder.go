// Package forwarder delivers the log to a sink: next, send, settle. It owns a durable cursor, retries for as long as it
// takes, keeps the order, and moves what can never be accepted to the dead letters in the same write that moves the cursor.
package forwarder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"time"

	"gateway"
)

// Log is what a forwarder needs of the log. It is safe for concurrent use.
type Log interface {
	// Submit hands b to the log's writer and returns; done is called, from another goroutine, when b is durable
	// (err nil) or never will be. An error of Submit itself means that nothing was taken, and done is not called.
	Submit(ctx context.Context, b gateway.Batch, done func(last gateway.Offset, err error)) error
	// Cursor returns the durable position of the named consumer, false if there is none.
	Cursor(name string) (gateway.Offset, bool)
	// NewReader reads what lies behind after.
	NewReader(after gateway.Offset) gateway.Reader
	// Status is a snapshot of the log.
	Status() gateway.LogStatus
}

// Options are all that a Forwarder needs; Default has the values that suit most.
type Options struct {
	// Name is the forwarder's own: letters, digits, and - _ . inside. Its cursor is "forwarder/<name>", its dead letters are "dead/<name>/…".
	Name string
	// Match are topic filters on the event's topic; an event that none matches is skipped. None: all match.
	Match []string
	// Sink takes the events. It is closed by who made it, after Run.
	Sink gateway.Sink
	// Log is where the events come from.
	Log Log
	// BatchSize is the most events of one Send, 1 to 65536. A batch is also bounded to about 1 MiB, or one event.
	BatchSize int
	// RetryMin and RetryMax bound the wait after a failure: full jitter under a ceiling that doubles from one to the other.
	RetryMin, RetryMax time.Duration
	// DrainTimeout is how long a Send under way may take after Run's context ended.
	DrainTimeout time.Duration
	// Logger gets changes of state and dead letters.
	Logger *slog.Logger
}

// Default is Options with everything but Name, Match, Sink, Log and Logger.
func Default() Options {
	return Options{BatchSize: 2000, RetryMin: 100 * time.Millisecond, RetryMax: 30 * time.Second, DrainTimeout: 5 * time.Second}
}

// batchBytes bounds what is read ahead, and what one Send is given, where events are large.
const batchBytes = 1 << 20

// Forwarder delivers events to one sink. Status may be called from any goroutine.
type Forwarder struct {
	o      Options
	cursor string
	broken chan error // of size one: the log could not keep what was settled

	// What follows is Run's goroutine's.
	backoff backoff
	saved   savedCursor
	trouble trouble
	deaths  deaths

	mu     sync.Mutex // guards what follows
	status gateway.ForwarderStatus
	oldest time.Time // when the oldest event in hand was received; zero if none is
	ahead  *prefetch // nil before Run
}

var validName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$`)

// New checks o and registers the forwarder's cursor, at the beginning of the log, if the log does not know it yet: from
// then on the log keeps what the forwarder has not settled. The error has all that is wrong, a line each.
func New(o Options) (*Forwarder, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("forwarder %q: %w", o.Name, err)
	}
	f := &Forwarder{
		o:       o,
		cursor:  "forwarder/" + o.Name,
		broken:  make(chan error, 1),
		backoff: backoff{min: o.RetryMin, max: o.RetryMax},
		status:  gateway.ForwarderStatus{Name: o.Name, Sink: o.Sink.Name(), State: gateway.StateStopped, Since: time.Now()},
	}
	at, known := o.Log.Cursor(f.cursor)
	if !known {
		at = max(o.Log.Status().First, 1) - 1
		move := gateway.Batch{Cursors: []gateway.CursorMove{{Name: f.cursor, Offset: at}}}
		if err := o.Log.Submit(context.Background(), move, f.committed); err != nil {
			return nil, fmt.Errorf("forwarder %q: register its cursor: %w", o.Name, err)
		}
	}
	f.status.Settled, f.saved.at = at, at
	return f, nil
}

func (o *Options) check() error {
	var errs []error
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	wrong(!validName.MatchString(o.Name), "name: %q must be 1 to 64 letters, digits, and - _ . inside", o.Name)
	for _, filter := range o.Match {
		if err := gateway.ValidFilter(filter); err != nil {
			errs = append(errs, fmt.Errorf("match: %q: %w", filter, err))
		}
	}
	wrong(o.BatchSize < 1 || o.BatchSize > 65536, "batch_size: %d is out of range; use 1 to 65536", o.BatchSize)
	wrong(o.RetryMin <= 0, "retry_min: %s must be more than 0", o.RetryMin)
	wrong(o.RetryMax < o.RetryMin, "retry_max: %s must not be less than retry_min, %s", o.RetryMax, o.RetryMin)
	wrong(o.DrainTimeout < 0, "drain_timeout: %s must not be negative", o.DrainTimeout)
	wrong(o.Sink == nil || o.Log == nil || o.Logger == nil, "sink, log and logger: none may be missing")
	return errors.Join(errs...)
}

// Run delivers until ctx ends. Then it gives a Send under way DrainTimeout to finish, settles what was delivered, and
// returns nil; the rest stays in the log. Another error is the log's, and final. Run may be called once.
func (f *Forwarder) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	sending, giveUp := context.WithCancelCause(context.WithoutCancel(ctx))
	defer giveUp(nil)
	ahead := newPrefetch(f.o.Log.NewReader(f.saved.at), f.o.BatchSize)
	f.started(ahead)

	ended := make(chan struct{})
	var helpers sync.WaitGroup
	var broken error
	helpers.Go(func() {
		if broken = f.watch(ctx, giveUp, ended); broken != nil {
			stop()
			giveUp(broken)
		}
	})
	read := func() { helpers.Go(func() { ahead.run(ctx) }) }
	read()
	err := f.forward(ctx, sending, ahead, read)
	stop()
	close(ended)
	helpers.Wait()
	f.stopped()
	f.deaths.log(f.o.Logger)
	if errors.Is(err, errStopping) {
		err = nil
	}
	return errors.Join(err, broken, ahead.reader.Close())
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

// forward is the loop: next, send, settle. An error of the log's on reading, such as a damaged block, stops this forwarder
// only for as long as it lasts: devices and other forwarders have nothing to do with it. read starts ahead's goroutine.
func (f *Forwarder) forward(ctx, sending context.Context, ahead *prefetch, read func()) error {
	for {
		entries, err := ahead.take(ctx, f.waiting)
		if ctx.Err() != nil {
			return f.saveCursor(ctx)
		}
		if errors.Is(err, gateway.ErrClosed) {
			return fmt.Errorf("forwarder %q: read the log: %w", f.o.Name, err)
		}
		if err != nil {
			f.unreadable(err)
			if !pause(ctx, f.o.RetryMax) {
				return f.saveCursor(ctx)
			}
			if err := ahead.again(f.o.Log.NewReader(max(f.saved.at, f.saved.skipped))); err != nil {
				return fmt.Errorf("forwarder %q: close the reader: %w", f.o.Name, err)
			}
			read()
			continue
		}
		f.took(entries[0].Received)
		for len(entries) > 0 && ctx.Err() == nil {
			n := firstBatch(entries, f.o.BatchSize)
			if err := f.deliver(ctx, sending, entries[:n]); err != nil {
				return err
			}
			entries = entries[n:]
		}
	}
}

// firstBatch is how many of entries make one batch: at most max, and about batchBytes, and at least one.
func firstBatch(entries []gateway.Entry, max int) int {
	bytes := 0
	for i := range entries {
		bytes += sizeOf(&entries[i])
		if i == max || i > 0 && bytes > batchBytes {
			return i
		}
	}
	return len(entries)
}

// sizeOf is about what an entry takes in memory.
func sizeOf(e *gateway.Entry) int { return len(e.Event.Data) + len(e.Event.Subject) + 256 }

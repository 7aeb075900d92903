package forwarder

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"gateway"
)

// Options are all that a Forwarder needs; Default has the values that suit most.
type Options struct {
	// Name is the forwarder's own: letters, digits, and - _ . inside. Its cursors begin with "forwarder/<name>", its dead letters are "dead/<name>/…".
	Name string
	// Routes say which events it delivers, and how. None: all, alike.
	Routes []Route
	// Compile makes the conditions of routes; nil if none has one.
	Compile Compiler
	// CatchUp is InOrder or LiveFirst, Backlog OldestFirst or NewestFirst.
	CatchUp, Backlog string
	// Budget bounds what is sent.
	Budget Budget
	// RenamedFrom is the name that the forwarder had before, "" for none: it takes over the places of that one, and what it remembers, once.
	RenamedFrom string
	// Start is where a new forwarder begins; nil: at the beginning of the log.
	Start func(Log) (after gateway.Offset, err error)
	// Sink takes the events. It is closed by who made it, after Run.
	Sink gateway.Sink
	// Log is where the events come from.
	Log Log
	// BatchSize is the most events of one Send, 1 to 65536, and BatchBytes about the most bytes of it, or one event.
	BatchSize, BatchBytes int
	// Linger is how long the oldest live event may wait for others to go with it. What passes all budgets does not.
	Linger time.Duration
	// Letters bounds the dead letters.
	Letters LetterBounds
	// Acts says that the sink acts on the world: nothing is sent to it twice to find out whether it is an event or the endpoint that fails, and nothing
	// that may have expired while the clock was not known.
	Acts bool
	// Outcomes appends an event of type gateway.outcome for each event that was delivered or set aside, in the write that settles it.
	Outcomes bool
	// ID is the gateway's, for the source of such events.
	ID string
	// RetryMin and RetryMax bound the wait after a failure: full jitter under a ceiling that doubles from one to the other.
	RetryMin, RetryMax time.Duration
	// DrainTimeout is how long a Send under way may take after Run's context ended.
	DrainTimeout time.Duration
	// Logger gets changes of state and dead letters.
	Logger *slog.Logger
}

// Default is Options with everything but Name, Sink, Log and Logger.
func Default() Options {
	return Options{
		CatchUp: InOrder, Backlog: OldestFirst, BatchSize: 2000, BatchBytes: 1 << 20, Letters: LetterBounds{Bytes: 16 << 20},
		RetryMin: 100 * time.Millisecond, RetryMax: 30 * time.Second, DrainTimeout: 5 * time.Second,
	}
}

var validName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$`)

func (o *Options) check() error {
	var errs []error
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	wrong(!validName.MatchString(o.Name), "name: %q must be 1 to 64 letters, digits, and - _ . inside", o.Name)
	for i := range o.Routes {
		if err := o.Routes[i].check(); err != nil {
			errs = append(errs, err)
		}
	}
	wrong(o.CatchUp != "" && o.CatchUp != InOrder && o.CatchUp != LiveFirst, "catch_up: %q; use %s or %s", o.CatchUp, InOrder, LiveFirst)
	wrong(o.Backlog != "" && o.Backlog != OldestFirst && o.Backlog != NewestFirst, "backlog: %q; use %s or %s", o.Backlog, OldestFirst, NewestFirst)
	wrong(o.BatchSize < 1 || o.BatchSize > 65536, "batch_size: %d is out of range; use 1 to 65536", o.BatchSize)
	wrong(o.BatchBytes < 1<<10, "batch_bytes: %d is out of range; use 1024 or more", o.BatchBytes)
	wrong(o.Linger < 0 || o.Letters.Age < 0 || o.Letters.Bytes < 0, "linger and the bounds of the dead letters must not be negative")
	wrong(o.RetryMin <= 0, "retry_min: %s must be more than 0", o.RetryMin)
	wrong(o.RetryMax < o.RetryMin, "retry_max: %s must not be less than retry_min, %s", o.RetryMax, o.RetryMin)
	wrong(o.DrainTimeout < 0, "drain_timeout: %s must not be negative", o.DrainTimeout)
	wrong(o.Sink == nil || o.Log == nil || o.Logger == nil, "sink, log and logger: none may be missing")
	return errors.Join(errs...)
}

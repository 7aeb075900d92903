package devices

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"periph.io/x/conn/v3/gpio"

	"gateway"
	"gateway/devices/gpiochip"
)

// lineUser is a device that a lineKeeper keeps a line open for. Its methods are called by one goroutine.
type lineUser interface {
	// tell appends an event of the line's fault or recovery. Its error is final.
	tell(ctx context.Context, kind string, data any) error
	// use works with the line until ctx ends or it fails; a *lineError says that the line is to be opened anew, any other error is final.
	use(ctx context.Context, l *openLine) error
}

// openLine is a line that works.
type openLine struct {
	line
	on   bool          // the level at the beginning
	both bool          // both edges are told
	hold time.Duration // how long a level must hold, where the kernel does not see to it
	anew bool          // it did not work before
}

// lineError is an error of a line, which may go away.
type lineError struct{ error }

func (e *lineError) Unwrap() error { return e.error }

// lineKeeper opens a line, and opens it anew when it fails, with growing pauses in between.
type lineKeeper struct {
	spec   *Spec
	lines  lines
	config gpiochip.Config
	logger *slog.Logger
	status *lineStatus

	faulty   bool // and was told to be
	since    time.Time
	class    string
	attempts int  // that failed
	softly   bool // it was said that the kernel does not debounce
}

// run returns nil when ctx ends, and else an error of the log.
func (k *lineKeeper) run(ctx context.Context, u lineUser) error {
	defer k.status.enter(gateway.DeviceStopped, "")
	for wait := (lineBackoff{}); ; {
		began := time.Now()
		err := k.session(ctx, u)
		if ctx.Err() != nil {
			return nil
		}
		var broken *lineError
		if !errors.As(err, &broken) {
			return fmt.Errorf("device %s: %w", k.spec.Name, err)
		}
		if err := k.fault(ctx, u, broken.error); err != nil && ctx.Err() == nil {
			return fmt.Errorf("device %s: %w", k.spec.Name, err)
		}
		if !pause(ctx, wait.after(time.Since(began))) {
			return nil
		}
	}
}

// session is from an attempt to open the line to its next failure.
func (k *lineKeeper) session(ctx context.Context, u lineUser) error {
	l, err := k.open()
	if err != nil {
		return &lineError{err}
	}
	defer func() {
		if err := l.Close(); err != nil {
			k.logger.Warn("the line was not closed", "error", err)
		}
	}()
	if l.on, err = l.Level(); err != nil {
		return &lineError{fmt.Errorf("read the level: %w", err)}
	}
	if err := k.works(ctx, u); err != nil {
		return err
	}
	return u.use(ctx, l)
}

// open asks the kernel to debounce, and then without: the device has to, then.
func (k *lineKeeper) open() (*openLine, error) {
	l, err := k.lines.Open(k.spec.Pin, k.spec.Chip, k.config)
	if err == nil {
		return &openLine{line: l, both: k.config.Edge == gpio.BothEdges, anew: k.faulty}, nil
	}
	if k.config.Debounce == 0 || k.config.Edge == gpio.NoEdge || lineClass(err) != lineOther {
		return nil, fmt.Errorf("open %s: %w", k.spec.Pin, err)
	}
	softly := k.config
	softly.Debounce, softly.Edge = 0, gpio.BothEdges
	l, second := k.lines.Open(k.spec.Pin, k.spec.Chip, softly)
	if second != nil {
		return nil, fmt.Errorf("open %s: %w", k.spec.Pin, err)
	}
	if !k.softly {
		k.softly = true
		k.logger.Info("the kernel does not debounce this line: the gateway does", "debounce", k.config.Debounce, "error", err)
	}
	return &openLine{line: l, both: true, hold: k.config.Debounce, anew: k.faulty}, nil
}

// Classes of a line's faults, in the data of events of type EventFault.
const (
	lineMissing    = "missing"    // there is no such line, or no longer
	lineBusy       = "busy"       // something else uses it
	linePermission = "permission" // the gateway's user may not use it
	lineOther      = "other"
)

// lineFault is the data of a device.fault.
type lineFault struct {
	Device string    `json:"device"`
	Type   string    `json:"type"`
	Where  string    `json:"where"`
	Class  string    `json:"class"`
	Cause  string    `json:"cause"`
	Since  time.Time `json:"since"`
	Hint   string    `json:"hint,omitempty"`
}

// lineRecovered is the data of a device.recovered.
type lineRecovered struct {
	Device string    `json:"device"`
	Type   string    `json:"type"`
	Where  string    `json:"where"`
	Class  string    `json:"class"`
	Since  time.Time `json:"since"`
	// Down is in seconds; Attempts are those that failed.
	Down     float64 `json:"down_seconds"`
	Attempts int     `json:"attempts"`
}

func (k *lineKeeper) fault(ctx context.Context, u lineUser, err error) error {
	k.attempts++
	k.status.enter(gateway.DeviceFault, err.Error())
	if k.faulty {
		return nil
	}
	k.faulty, k.since, k.attempts, k.class = true, time.Now(), 1, lineClass(err)
	f := lineFault{Device: k.spec.Name, Type: k.spec.Type, Where: k.spec.line(), Class: k.class, Cause: err.Error(), Since: k.since.UTC()}
	if f.Class == linePermission {
		f.Hint = "the gateway's user must be in the group that owns /dev/gpiochip*, as a rule \"gpio\""
	}
	k.logger.Warn("the device does not work: attempts go on", "error", err, "hint", f.Hint)
	return u.tell(ctx, EventFault, f)
}

func (k *lineKeeper) works(ctx context.Context, u lineUser) error {
	k.status.enter(gateway.DeviceOK, "")
	if !k.faulty {
		return nil
	}
	down := time.Since(k.since)
	r := lineRecovered{
		Device: k.spec.Name, Type: k.spec.Type, Where: k.spec.line(), Class: k.class, Since: k.since.UTC(), Down: down.Round(time.Millisecond).Seconds(), Attempts: k.attempts,
	}
	if err := u.tell(ctx, EventRecovered, r); err != nil {
		return err
	}
	k.logger.Info("the device works again", "after", down, "attempts", r.Attempts)
	k.faulty = false
	return nil
}

// lineClass is the class of a line's error.
func lineClass(err error) string {
	switch {
	case errors.Is(err, gpiochip.ErrGone), errors.Is(err, gpiochip.ErrNotFound):
		return lineMissing
	case errors.Is(err, gpiochip.ErrBusy):
		return lineBusy
	case errors.Is(err, fs.ErrPermission):
		return linePermission
	}
	return lineOther
}

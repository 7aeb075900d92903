package devices

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"gateway"
)

const (
	// mostReports is how many events wait for the log: more are lost, the oldest first, and counted in the next event of their output.
	mostReports = 256
	// lastReports is how long a stop waits for the log to take them.
	lastReports = time.Second
	// promptly is within what time an event has the log's own time, which is corrected when the clock is.
	promptly = 50 * time.Millisecond
)

// stateChange is the data of EventOutput.
type stateChange struct {
	State   string `json:"state"`
	Why     string `json:"why"`
	Command string `json:"command,omitempty"`
	// Event is the ID of the command, By its source.
	Event string `json:"event,omitempty"`
	By    string `json:"by,omitempty"`
	// Lost is how many events of this output were lost since the last one, because the log did not take them.
	Lost uint64 `json:"lost,omitempty"`
}

// report is an event that waits for the log.
type report struct {
	p    *output
	spec Spec
	kind string
	at   time.Time
	data any
}

// reports are a queue between the outputs, which never wait, and the log.
type reports struct {
	wake   chan struct{} // of size one: there is something
	closed chan struct{} // closed by close

	mu      sync.Mutex // guards what follows
	waiting []report
	lost    map[*output]uint64
}

func newReports() *reports {
	return &reports{lost: map[*output]uint64{}, wake: make(chan struct{}, 1), closed: make(chan struct{})}
}

func (r *reports) close() { close(r.closed) }

// add takes an event, and lets go of the oldest if there are too many.
func (r *reports) add(p *output, kind string, at time.Time, data any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) == mostReports {
		r.lost[r.waiting[0].p]++
		r.waiting = slices.Delete(r.waiting, 0, 1)
	}
	r.waiting = append(r.waiting, report{p, p.spec, kind, at, data})
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// take returns the oldest event.
func (r *reports) take() (next report, lost uint64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) == 0 {
		return report{}, 0, false
	}
	next = r.waiting[0]
	r.waiting = slices.Delete(r.waiting, 0, 1)
	if change, is := next.data.(stateChange); is {
		change.Lost += r.lost[next.p]
		next.data, lost = change, change.Lost
		delete(r.lost, next.p)
	}
	return next, lost, true
}

// Run appends the events of the outputs until ctx ends or Close was called, and then those that still wait, as far as the log takes them at once. Its error is the
// log's, and final. The outputs work without it too.
func (o *Outputs) Run(ctx context.Context, out gateway.Appender) error {
	r := newReporter(nil, &o.o.Common, out)
	for {
		if err := o.tell(ctx, r); err != nil && ctx.Err() == nil {
			return fmt.Errorf("append events of outputs: %w", err)
		}
		select {
		case <-o.reports.wake:
			continue
		case <-ctx.Done():
		case <-o.reports.closed:
		}
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastReports)
		defer cancel()
		if err := o.tell(last, r); err != nil {
			o.o.Logger.Warn("the last events of outputs are lost: the log did not take them", "err", err)
		}
		return nil
	}
}

// tell appends all that waits.
func (o *Outputs) tell(ctx context.Context, r *reporter) error {
	for ctx.Err() == nil {
		next, lost, ok := o.reports.take()
		if !ok {
			return nil
		}
		if lost > 0 {
			o.o.Logger.Warn("events of an output are lost: the log did not take them in time", "device", next.spec.Name, "lost", lost)
		}
		at := next.at
		if time.Since(at) < promptly {
			at = time.Time{}
		}
		r.spec = &next.spec
		if err := r.append(ctx, r.event(next.kind, at, next.data)); err != nil {
			o.reports.back(next)
			return err
		}
		o.mu.Lock()
		next.p.status.Events++
		o.mu.Unlock()
	}
	return ctx.Err()
}

// back takes an event back that the log did not take.
func (r *reports) back(first report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = slices.Insert(r.waiting, 0, first)
}

// report tells what the output does now, if that is something else than what was told last. The player calls it.
func (p *output) report(why cause, now time.Time) {
	state := p.state()
	if state == p.told && p.pattern == nil {
		return
	}
	p.told = state
	if p.pattern != nil {
		p.told = "" // its end is told
	}
	p.all.reports.add(p, EventOutput, now, stateChange{State: state, Why: why.why, Command: why.command, Event: why.event, By: why.by})
}

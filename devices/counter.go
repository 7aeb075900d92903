package devices

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"gateway"
	"gateway/devices/gpiochip"
)

// Counting is what a counter needs to remember its total.
//
// What holds: each edge that a living process was given is in the total, once. The event of each interval and the total are one commit. A process that is
// stopped commits before it ends, and so loses nothing. What was counted since the last commit survives a kill in a file in Runtime, up to the one
// read of edges under way; a power cut, and a kill without such a file, costs what came since the last commit, an interval as a rule. A device.gap tells of the
// time in which nobody watched, from the last commit on.
type Counting struct {
	// Log is also where the events go.
	Log CountLog
	// LogID is its id.
	LogID string
	// Runtime is a folder on a file system in memory, which no other user can write to; "": none.
	Runtime string
}

// counter is a gpio_counter: the pulses of a meter.
type counter struct {
	spec   Spec
	c      Counting
	common Common
	lines  lines
	config gpiochip.Config
	status *lineStatus
	tally  *tally
	wake   chan struct{} // of size one: there is news

	faulty time.Time // since when the line does not work; the keeper's

	// What follows is Run's.
	boot  string
	last  storedCount // the last durable one of this log
	began counted     // what the interval began with,
	since time.Time   // and when
	full  bool
	clock edgeClock
	say   *reporter
}

// NewCounter makes a gpio_counter: it counts edges, and says how many there were each Interval.
func NewCounter(spec Spec, l lines, m Counting, c Common) (Device, error) {
	config, err := spec.edgeConfig()
	if err != nil {
		return nil, err
	}
	if spec.Interval <= 0 {
		return nil, fmt.Errorf("device %s: a counter needs an interval", spec.Name)
	}
	d := &counter{spec: spec, c: m, common: c, lines: l, config: config, status: newLineStatus(&spec), wake: make(chan struct{}, 1), clock: edgeClock{mono: l.Now}}
	d.tally = &tally{logger: c.Logger, wants: spec.wants}
	d.say = newReporter(&d.spec, &c, nil)
	return d, nil
}

// Name is Spec.Name.
func (d *counter) Name() string { return d.spec.Name }

// Status may be called from any goroutine.
func (d *counter) Status() gateway.DeviceStatus {
	s := d.status.snapshot()
	d.tally.live(&s, &d.spec, d.lines.Now())
	return s
}

// Run counts until ctx ends, and then returns nil. What it appends goes to Counting.Log. Its error is of the log, and final. Once only.
func (d *counter) Run(ctx context.Context, _ gateway.Appender) error {
	if err := d.recall(); err != nil {
		return err
	}
	defer d.closeRecord()
	reading, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	k := &lineKeeper{spec: &d.spec, lines: d.lines, config: d.config, logger: d.common.Logger, status: d.status}
	go func() { ended <- k.run(reading, d) }()
	grace, cancel := withGrace(ctx, stopGrace)
	defer cancel()
	err := d.commits(ctx, grace)
	stop()
	if keeperErr := <-ended; err == nil {
		err = keeperErr
	}
	if err == nil {
		err = d.lastCommit(grace)
	}
	return err
}

// recall finds out where the counter was, and who has counted since.
func (d *counter) recall() error {
	s, known, err := loadCount(d.c.Log, d.spec.Name)
	if err != nil {
		return err
	}
	d.boot, d.last, d.since = bootText(), s, time.Now()
	t := d.tally
	t.total, t.unseen, t.base = s.Total, s.Unseen, countBase(s.ID)
	if r, ok := d.record(); ok && r.goesOn(s) {
		t.total, t.unseen = r.total, r.unseen
	}
	d.began = counted{total: t.total, unseen: t.unseen}
	if known || t.total > 0 { // a process may have been killed before its first commit
		t.tell(remarkedNews{kind: EventGap, wall: d.since, data: d.restartGap(&s)})
	}
	return nil
}

// record opens the runtime record, and returns what it holds. The counter works without one.
func (d *counter) record() (recordedCount, bool) {
	if d.c.Runtime == "" || d.boot == "" {
		return recordedCount{}, false
	}
	r, found, ok, err := openRecord(d.c.Runtime, d.spec.Name, d.c.LogID, d.boot)
	if err != nil {
		d.common.Logger.Warn("there is no runtime count: a kill of the process costs what came since the last count", "error", err)
		return found, false
	}
	d.tally.record = r
	return found, ok
}

func (d *counter) closeRecord() {
	if d.tally.record == nil {
		return
	}
	if err := d.tally.record.close(); err != nil {
		d.common.Logger.Warn("the runtime count was not closed", "error", err)
	}
}

// tell implements lineUser: the events go with the next count, so that a log that is full keeps nobody from counting.
func (d *counter) tell(_ context.Context, kind string, data any) error {
	now := time.Now()
	d.tally.tell(remarkedNews{kind: kind, wall: now, data: data})
	switch kind {
	case EventFault:
		d.faulty = now
		d.tally.end(d.lines.Now())
	case EventRecovered:
		d.tally.tell(remarkedNews{kind: EventGap, wall: now, data: d.faultGap(now)})
	}
	d.signal()
	return nil
}

func (d *counter) signal() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// use implements lineUser: it counts until the line fails or ctx ends.
func (d *counter) use(ctx context.Context, l *openLine) error {
	d.tally.begin(l)
	buf := make([]gpiochip.Event, edgeBatch)
	for {
		n, err := l.Events(ctx, buf)
		if err != nil {
			return &lineError{err}
		}
		lost := d.tally.add(buf[:n])
		d.status.change(func(s *gateway.DeviceStatus) {
			s.Reads += uint64(n)
			s.Missed += lost
		})
	}
}

// commits makes a count each interval, and one at once when there is news, until ctx ends.
func (d *counter) commits(ctx, grace context.Context) error {
	ticker := time.NewTicker(d.spec.Interval)
	defer ticker.Stop()
	for {
		err := d.commit(grace, false)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, gateway.ErrFull):
			if !pause(ctx, fullPause) {
				return nil
			}
			ticker.Reset(d.spec.Interval)
			continue
		case err != nil:
			return fmt.Errorf("device %s: %w", d.spec.Name, err)
		}
		select {
		case <-ticker.C:
		case <-d.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// lastCommit is that of a process that counts no more.
func (d *counter) lastCommit(grace context.Context) error {
	for {
		err := d.commit(grace, true)
		if errors.Is(err, gateway.ErrFull) && pause(grace, fullPause) {
			continue
		}
		if err != nil && grace.Err() != nil {
			d.common.Logger.Warn("the counter was stopped before the log took its last count", "error", err)
			return nil
		}
		if err != nil {
			return fmt.Errorf("device %s: %w", d.spec.Name, err)
		}
		return nil
	}
}

// bootText is the kernel's id of this boot, "" if it is not known.
func bootText() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

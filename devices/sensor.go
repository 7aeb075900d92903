package devices

import (
	"context"
	"fmt"
	"sync"
	"time"

	"gateway"
)

// sensor is a driver of the table at work: it reads on a schedule, reports what is worth it, and tells faults.
type sensor struct {
	spec       Spec
	driver     Driver
	open       func(ctx context.Context, e *environment) (reader, error)
	env        *environment
	quantities map[string]Quantity
	adjust     map[string]Adjust

	// What follows belongs to Run.
	report reporter
	reader reader             // nil before it was opened, and in a fault
	down   *outage            // of the whole device, nil while it works
	ranges map[string]*outage // of single quantities
	last   []Reading          // as reported
	told   time.Time          // when last was

	mu     sync.Mutex
	status gateway.DeviceStatus
}

var _ Device = (*sensor)(nil)

// NewSensor makes a sensor of the driver that spec.Type names; hw may be nil for a simulated one. It touches no hardware: a sensor that is not there is a
// fault of a device that runs.
func NewSensor(spec Spec, hw *Hardware, c Common) (Device, error) {
	if spec.Type == TypeSimulated {
		return NewSimulated(spec, c)
	}
	return newSensor(spec, hw, c)
}

func newSensor(spec Spec, hw *Hardware, c Common) (*sensor, error) {
	driver, ok := FindDriver(spec.Type)
	if !ok {
		return nil, fmt.Errorf("device %s: no driver %q", spec.Name, spec.Type)
	}
	if spec.Interval <= 0 {
		return nil, fmt.Errorf("device %s: interval %s: want more than none", spec.Name, spec.Interval)
	}
	if err := driver.Check(&spec); err != nil {
		return nil, fmt.Errorf("device %s: %w", spec.Name, err)
	}
	if driver.Bus != BusNone && hw == nil {
		return nil, fmt.Errorf("device %s: no hardware", spec.Name)
	}
	s := &sensor{
		spec: spec, driver: driver, open: driver.open, quantities: map[string]Quantity{}, adjust: map[string]Adjust{}, ranges: map[string]*outage{},
		status: gateway.DeviceStatus{Name: spec.Name, Type: spec.Type, Where: driver.where(&spec), State: gateway.DeviceStarting, Since: time.Now()},
	}
	for _, q := range driver.of(&spec) {
		s.quantities[q.Name] = q
	}
	for _, a := range spec.Adjust {
		s.adjust[a.Quantity] = a
	}
	s.env = &environment{spec: &s.spec, hw: hw, timeout: spec.Timeout}
	if s.env.timeout == 0 {
		s.env.timeout = driver.Timeout
	}
	s.report = *newReporter(&s.spec, &c, nil)
	return s, nil
}

// NewSimulated makes a sensor of a waveform or a file of JSON lines (see Spec.Wave). From there on it is a sensor as any other.
func NewSimulated(spec Spec, c Common) (Device, error) {
	spec.Type = TypeSimulated
	s, err := newSensor(spec, nil, c)
	if err != nil {
		return nil, err
	}
	if spec.Wave != WaveReplay {
		s.open = newWave(&s.spec).reader
		return s, nil
	}
	r, err := loadReplay(spec.File)
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", spec.Name, err)
	}
	s.open = r.reader
	return s, nil
}

// Name is the device's.
func (s *sensor) Name() string { return s.spec.Name }

// Status may be called from any goroutine.
func (s *sensor) Status() gateway.DeviceStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// update changes the status.
func (s *sensor) update(f func(status *gateway.DeviceStatus)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.status)
}

// state enters a state, if it is another.
func (s *sensor) state(state, fault string, now time.Time) {
	s.update(func(status *gateway.DeviceStatus) {
		if status.State != state {
			status.State, status.Since = state, now
		}
		status.Fault = fault
	})
}

// Run reads at once, and then at whole intervals from there: late readings do not shift the later ones, and what could not be read in time is skipped.
// It ends with ctx, or with an error of the log.
func (s *sensor) Run(ctx context.Context, out gateway.Appender) error {
	s.report.out = out
	defer s.close()
	start := time.Now()
	for turn := int64(0); ; {
		failed := s.down != nil
		if err := s.round(ctx); err != nil {
			s.state(gateway.DeviceStopped, "", time.Now())
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("device %s: %w", s.spec.Name, err)
		}
		now := time.Now()
		due := int64(now.Sub(start)/s.spec.Interval) + 1
		wait := start.Add(time.Duration(due) * s.spec.Interval).Sub(now)
		if s.down != nil {
			wait = s.down.again
		} else if skipped := due - turn - 1; skipped > 0 && !failed {
			s.update(func(status *gateway.DeviceStatus) { status.Missed += uint64(skipped) })
		}
		turn = due
		if !pause(ctx, wait) {
			s.state(gateway.DeviceStopped, "", time.Now())
			return nil
		}
	}
}

// round is one reading, or one attempt at it, with all that follows from it, in one append. Its error is final.
func (s *sensor) round(ctx context.Context) error {
	readings, err := s.measure(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	now := time.Now()
	if err != nil {
		s.close()
		return s.append(ctx, s.failed(now, err))
	}
	events := s.works(now)
	good, bad := s.judge(readings)
	events = append(events, s.inRange(now, bad)...)
	recovered := len(events) > 0
	switch {
	case len(good) == 0:
	case recovered || s.worthwhile(now, good):
		s.last, s.told = good, now
		events = append(events, s.report.event(EventReading, now, readingData(good)))
	default:
		s.update(func(status *gateway.DeviceStatus) { status.Quiet++ })
	}
	if len(good) > 0 {
		s.update(func(status *gateway.DeviceStatus) { status.Value, status.At = readingText(good), now })
	}
	return s.append(ctx, events)
}

// append is the reporter's, and counts.
func (s *sensor) append(ctx context.Context, events []gateway.Event) error {
	if len(events) == 0 {
		return nil
	}
	if err := s.report.append(ctx, events...); err != nil {
		return err
	}
	s.update(func(status *gateway.DeviceStatus) { status.Events += uint64(len(events)) })
	return nil
}

// measure opens the driver where that is due, and reads as often as a reading wants.
func (s *sensor) measure(ctx context.Context) ([]Reading, error) {
	if s.reader == nil {
		if err := s.begin(ctx); err != nil {
			return nil, err
		}
	}
	var reads [][]Reading
	for range max(s.spec.Average, 1) {
		read, err := s.reader.Read(ctx)
		if err != nil {
			return nil, err
		}
		s.update(func(status *gateway.DeviceStatus) { status.Reads++ })
		reads = append(reads, read)
	}
	return median(reads), nil
}

// begin makes the driver anew: a chip that was replaced or lost its supply is set up again.
func (s *sensor) begin(ctx context.Context) error {
	if s.driver.Bus == BusI2C {
		b, err := s.env.hw.bus(busNumber(&s.spec))
		if err != nil {
			return err
		}
		s.env.port = &port{bus: b, addr: uint16(s.driver.address(&s.spec)), timeout: s.env.timeout}
	}
	r, err := s.open(ctx, s.env)
	if err != nil {
		return err
	}
	s.reader = r
	return nil
}

// close gives the driver up.
func (s *sensor) close() {
	if s.reader == nil {
		return
	}
	if err := s.reader.Close(); err != nil {
		s.report.logger.Debug("the driver did not close", "error", err)
	}
	s.reader = nil
}

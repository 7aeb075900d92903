package devices

import (
	"context"
	"fmt"
	"time"

	"gateway"
	"gateway/devices/gpiochip"
)

// sampled is a gpio_sampled: a level that is read each Interval.
type sampled struct {
	spec   Spec
	common Common
	lines  lines
	config gpiochip.Config
	status *lineStatus
	say    *reporter // Run's
}

// NewSampled makes a gpio_sampled: for slow contacts, and for lines that have no interrupts. What happens between two reads, nobody knows.
func NewSampled(spec Spec, l lines, c Common) (Device, error) {
	config, err := spec.inputConfig()
	if err != nil {
		return nil, err
	}
	if spec.Interval <= 0 {
		return nil, fmt.Errorf("device %s: a sampled input needs an interval", spec.Name)
	}
	if spec.Report != ReportAlways && spec.Report != ReportChanged {
		return nil, fmt.Errorf("device %s: report is %q, must be %s or %s", spec.Name, spec.Report, ReportAlways, ReportChanged)
	}
	config.Debounce = 0 // of edges, which nobody asked for
	return &sampled{spec: spec, common: c, lines: l, config: config, status: newLineStatus(&spec)}, nil
}

// Name is Spec.Name.
func (d *sampled) Name() string { return d.spec.Name }

// Status may be called from any goroutine.
func (d *sampled) Status() gateway.DeviceStatus { return d.status.snapshot() }

// Run reads until ctx ends, and then returns nil. Its error is of the log, and final. Once only.
func (d *sampled) Run(ctx context.Context, out gateway.Appender) error {
	d.say = newReporter(&d.spec, &d.common, out)
	k := &lineKeeper{spec: &d.spec, lines: d.lines, config: d.config, logger: d.common.Logger, status: d.status}
	return k.run(ctx, d)
}

func (d *sampled) tell(ctx context.Context, kind string, data any) error {
	return d.append(ctx, kind, data)
}

// use implements lineUser.
func (d *sampled) use(ctx context.Context, l *openLine) error {
	why := inputStart
	if l.anew {
		why = inputRecovered
	}
	ticker := time.NewTicker(d.spec.Interval)
	defer ticker.Stop()
	last, said := l.on, time.Now()
	if err := d.level(ctx, l.on, why); err != nil {
		return err
	}
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		on, err := l.Level()
		if err != nil {
			return &lineError{fmt.Errorf("read the level: %w", err)}
		}
		if on == last && d.spec.Report == ReportChanged && (d.spec.Heartbeat == 0 || time.Since(said) < d.spec.Heartbeat) {
			d.status.change(func(s *gateway.DeviceStatus) { s.Reads, s.Quiet = s.Reads+1, s.Quiet+1 })
			continue
		}
		last, said = on, time.Now()
		if err := d.level(ctx, on, inputSample); err != nil {
			return err
		}
	}
}

func (d *sampled) level(ctx context.Context, on bool, why string) error {
	d.status.change(func(s *gateway.DeviceStatus) { s.Reads++ })
	if err := d.append(ctx, EventInput, inputData{State: levelWord(on), Edge: why, Monotonic: d.lines.Now()}); err != nil {
		return err
	}
	d.status.change(func(s *gateway.DeviceStatus) { s.Value, s.At = levelWord(on), time.Now() })
	return nil
}

func (d *sampled) append(ctx context.Context, kind string, data any) error {
	if err := d.say.append(ctx, d.say.event(kind, wallTime(time.Now()), data)); err != nil {
		return err
	}
	d.status.change(func(s *gateway.DeviceStatus) { s.Events++ })
	return nil
}

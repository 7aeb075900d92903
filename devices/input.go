package devices

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"periph.io/x/conn/v3/gpio"

	"gateway"
	"gateway/devices/gpiochip"
)

// stopGrace is how long a device has, when it is stopped, to append what it has read.
const stopGrace = 2 * time.Second

// input is a gpio_input: an event for each edge of a line.
type input struct {
	spec   Spec
	common Common
	lines  lines
	config gpiochip.Config
	queue  int // edges that may wait
	status *lineStatus
	say    *reporter // Run's
	clock  edgeClock // Run's
	losses lossLog   // Run's
}

// NewInput makes a gpio_input: it says the level when it starts, and then each edge, with the kernel's time.
func NewInput(spec Spec, l lines, c Common) (Device, error) {
	config, err := spec.edgeConfig()
	if err != nil {
		return nil, err
	}
	if spec.LongPress > 0 {
		config.Edge = gpio.BothEdges
	}
	return &input{spec: spec, common: c, lines: l, config: config, queue: edgeQueue, status: newLineStatus(&spec), clock: edgeClock{mono: l.Now}}, nil
}

// Name is Spec.Name.
func (d *input) Name() string { return d.spec.Name }

// Status may be called from any goroutine.
func (d *input) Status() gateway.DeviceStatus { return d.status.snapshot() }

// Run tells of the input until ctx ends, and then returns nil. Its error is of the log, and final. Once only.
func (d *input) Run(ctx context.Context, out gateway.Appender) error {
	d.say = newReporter(&d.spec, &d.common, out)
	k := &lineKeeper{spec: &d.spec, lines: d.lines, config: d.config, logger: d.common.Logger, status: d.status}
	return k.run(ctx, d)
}

func (d *input) tell(ctx context.Context, kind string, data any) error {
	return d.append(ctx, d.say.event(kind, wallTime(time.Now()), data))
}

// use reads the line until it fails or ctx ends. What was read is appended in either case.
func (d *input) use(ctx context.Context, l *openLine) error {
	grace, cancel := withGrace(ctx, stopGrace)
	defer cancel()
	r := readEdges(ctx, l, d.queue)
	defer func() {
		r.stop()
		for range r.queue { // until it has ended
		}
	}()
	return d.follow(grace, l, r)
}

// follow appends what r reads. r's end is its end.
func (d *input) follow(ctx context.Context, l *openLine, r *edgeReader) error {
	c := newContact(&d.spec, l, d.lines.Now())
	if err := d.appendRemarks(ctx, c); err != nil {
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	var broken error
	batch := make([]gpiochip.Event, 0, edgeBatch)
	for more := true; more; {
		d.arm(timer, c, broken)
		select {
		case e, ok := <-r.queue:
			batch = batch[:0]
			if ok {
				batch = append(batch, e)
			}
			batch, more = r.more(batch)
			d.take(c, batch)
		case <-timer.C:
			if broken = d.look(c, l, r); broken != nil {
				r.stop()
			}
		}
		if err := d.appendRemarks(ctx, c); err != nil {
			return err
		}
	}
	return &lineError{cmp.Or(broken, r.err)}
}

// look reads the level, unless edges wait.
func (d *input) look(c *contact, l *openLine, r *edgeReader) error {
	if len(r.queue) > 0 {
		return nil
	}
	on, err := l.Level()
	if err != nil {
		return fmt.Errorf("read the level: %w", err)
	}
	c.look(on, d.lines.Now())
	return nil
}

// arm sets the timer to when the level is to be looked at.
func (d *input) arm(timer *time.Timer, c *contact, broken error) {
	at, ok := c.due()
	if !ok || broken != nil {
		timer.Stop()
		return
	}
	timer.Reset(at - d.lines.Now())
}

func (d *input) take(c *contact, edges []gpiochip.Event) {
	lost := c.lost
	for _, e := range edges {
		c.edge(e)
	}
	d.status.change(func(s *gateway.DeviceStatus) {
		s.Reads += uint64(len(edges))
		s.Missed += c.lost - lost
	})
	d.losses.add(d.common.Logger, c.lost-lost)
}

// appendRemarks appends all that there is to say, in as few appends as edgeBatch allows.
func (d *input) appendRemarks(ctx context.Context, c *contact) error {
	said := c.remarks()
	if len(said) == 0 {
		return nil
	}
	d.clock.look()
	events := make([]gateway.Event, len(said))
	for i, s := range said {
		events[i] = d.say.event(s.kind, d.clock.at(s.at), s.data)
	}
	for len(events) > edgeBatch {
		if err := d.append(ctx, events[:edgeBatch]...); err != nil {
			return err
		}
		events = events[edgeBatch:]
	}
	if err := d.append(ctx, events...); err != nil {
		return err
	}
	d.status.change(func(s *gateway.DeviceStatus) { s.Value, s.At = levelWord(c.on), time.Now() })
	return nil
}

func (d *input) append(ctx context.Context, events ...gateway.Event) error {
	if err := d.say.append(ctx, events...); err != nil {
		if ctx.Err() != nil {
			d.common.Logger.Warn("the device was stopped before the log took its last events", "events", len(events))
		}
		return err
	}
	d.status.change(func(s *gateway.DeviceStatus) { s.Events += uint64(len(events)) })
	return nil
}

// withGrace is a context that ends d after ctx has.
func withGrace(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	grace, cancel := context.WithCancel(context.WithoutCancel(ctx))
	timer := time.AfterFunc(1<<62, cancel)
	stop := context.AfterFunc(ctx, func() { timer.Reset(d) })
	return grace, func() { stop(); timer.Stop(); cancel() }
}

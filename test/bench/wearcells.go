package main

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"gateway/internal/load"
	"gateway/test/rig"
)

// cell is one system under one load.
type cell struct {
	system int // in systems
	rate   float64
	down   bool // nobody takes the events
	cost
}

// cost is what a cell measured.
type cost struct {
	load.Result
	written int64 // by the process, by the kernel's count
	device  int64 // to the cell's own disk, with the journal; -1 where it had none
	late    bool  // it did not keep up with the rate
	err     error
}

// bytes is what was written, by the better count that there is.
func (c *cost) bytes() int64 {
	if c.device >= 0 {
		return c.device
	}
	return c.written
}

func (c *cost) perEvent() float64 { return ratio(float64(c.bytes()), float64(c.Sent)) }

func (c *cost) perByte() float64 { return ratio(float64(c.bytes()), float64(c.PayloadBytes)) }

// The rates are events a second. The slow ones do not load a machine, so that all systems run at once, each on a disk of its
// own. The fast ones run in turn, so that nobody's sync waits for somebody else's.
var (
	slowRates = []float64{1, 10}
	fastRates = []float64{100, 1000}
)

// downRate is of the cells in which nobody takes the events.
const downRate = 100

// slowFactor is how much longer the slow cells take: at one event a second, an interval of ten must pass often enough.
const slowFactor = 8

// wearCells measures all of them.
func (b *bench) wearCells(ctx context.Context) ([]*cell, error) {
	all := systems()
	var cells []*cell
	group := func(rate float64, down bool) (g []*cell) {
		for i := range all {
			g = append(g, &cell{system: i, rate: rate, down: down})
		}
		cells = append(cells, g...)
		return g
	}
	var slow []*cell
	for _, rate := range slowRates {
		slow = append(slow, group(rate, false)...)
	}
	b.say("  %d cells at once, for %s", len(slow), slowFactor*b.wearTime)
	if err := b.together(ctx, slow, slowFactor*b.wearTime); err != nil {
		return nil, err
	}
	down := group(downRate, true)
	b.say("  %d cells at once, nobody takes the events", len(down))
	if err := b.together(ctx, down, b.wearTime); err != nil {
		return nil, err
	}
	for _, rate := range fastRates {
		for _, c := range group(rate, false) {
			if err := b.together(ctx, []*cell{c}, b.wearTime); err != nil {
				return nil, err
			}
			s := all[c.system]
			b.say("  %s, %s, %g a second: %.0f bytes an event", s.name, s.setting, rate, c.perEvent())
		}
	}
	return cells, nil
}

// together measures cells at once. What a cell fails with is kept in it.
func (b *bench) together(ctx context.Context, cells []*cell, length time.Duration) error {
	runs := make([]*cellRun, len(cells))
	defer func() {
		for _, r := range runs {
			if r != nil {
				b.end(r)
			}
		}
	}()
	for i, c := range cells { // one after the other: what makes names and ports is not for several goroutines
		runs[i] = b.begin(ctx, c)
	}
	settle := settleTime
	if len(cells) > 1 { // at a slow rate what a mount leaves behind would be seen
		settle = mountedTime
	}
	if err := wait(ctx, settle); err != nil {
		return err
	}
	var group errgroup.Group
	for _, r := range runs {
		if r.cell.err == nil {
			group.Go(func() error { return r.measure(ctx, length) })
		}
	}
	return group.Wait()
}

// cellRun is a cell while it is measured.
type cellRun struct {
	cell   *cell
	disk   *disk   // nil if it could not be made
	target *target // nil if it could not be started
}

// begin starts the cell's system on a disk of its own.
func (b *bench) begin(ctx context.Context, c *cell) *cellRun {
	r := &cellRun{cell: c}
	r.disk, c.err = newDisk(b.dir, b.name("cell"))
	if errors.Is(c.err, errNoDisk) {
		b.noDisk.Do(func() { b.say("  counting what processes write, without the filesystem's journal: %v", c.err) })
		c.err = nil
	}
	if c.err != nil {
		return r
	}
	own := bench{dir: r.disk.dir, gateway: b.gateway, nats: b.nats, n: b.n}
	s := &systems()[c.system]
	r.target, c.err = s.start(ctx, &own, s, c.down)
	b.n = own.n
	return r
}

func (b *bench) end(r *cellRun) {
	if r.target != nil {
		r.target.stop()
	}
	if r.disk == nil {
		return
	}
	if err := r.disk.remove(); err != nil {
		b.say("  left behind: %v", err)
	}
}

// settleTime is how long a system may take to write what follows from the last event, such as a cursor.
const settleTime = 1500 * time.Millisecond

// mountedTime is more than the five seconds after which ext4 writes what it put off, such as its superblock after mounting.
const mountedTime = 7 * time.Second

// count is what the process and the disk were written until now.
func (r *cellRun) count() (written, device int64, err error) {
	if written, err = rig.Written(r.target.pid); err != nil || !r.disk.mounted {
		return written, 0, err
	}
	if err = r.disk.sync(); err != nil {
		return written, 0, err
	}
	device, err = rig.DeviceWritten(r.disk.dir)
	return written, device, err
}

// measure loads the target for about length, at least two of its intervals. It fails only when ctx ends.
func (r *cellRun) measure(ctx context.Context, length time.Duration) error {
	c := r.cell
	if interval := systems()[c.system].interval; interval <= 10*time.Second {
		length = max(length, 2*interval)
	}
	if c.err = r.load(ctx, length); ctx.Err() != nil {
		return ctx.Err()
	}
	return nil
}

func (r *cellRun) load(ctx context.Context, length time.Duration) error {
	c := r.cell
	written, device, err := r.count()
	if err != nil {
		return err
	}
	count := max(uint64(length.Seconds()*c.rate), 1)
	if c.Result, err = r.target.publish(ctx, count, c.rate); err != nil {
		return err
	}
	if err := wait(ctx, settleTime); err != nil {
		return err
	}
	if c.written, c.device, err = r.count(); err != nil {
		return err
	}
	extra := int64(0)
	if r.target.extra != nil {
		if extra, err = r.target.extra(ctx, length); err != nil {
			return err
		}
	}
	c.written += extra - written
	c.device += extra - device
	if !r.disk.mounted {
		c.device = -1
	}
	// The last events wait for their interval, which is not a sign of a system that cannot keep up.
	interval := min(systems()[c.system].interval, 10*time.Second)
	c.late = c.Seconds > 1.25*float64(count)/c.rate+interval.Seconds()+2
	return nil
}

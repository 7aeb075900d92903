package main

import (
	"context"
	"fmt"
	"syscall"
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
	took    time.Duration
	written int64 // by the process
	device  int64 // by everybody, with the journal; -1 where others ran beside it
	err     error
}

func (c *cost) perEvent() float64 { return ratio(float64(c.written), float64(c.Sent)) }

func (c *cost) perByte() float64 { return ratio(float64(c.written), float64(c.PayloadBytes)) }

// wearRates are events a second. The slow ones do not load a machine, so that all systems run at once: the kernel counts
// for each process by itself. The fast ones run in turn, with the device's own counter.
var (
	slowRates = []float64{1, 10}
	fastRates = []float64{100, 1000}
)

// downRate is of the cells in which nobody takes the events.
const downRate = 100

// slowFactor is how much longer the slow cells take.
const slowFactor = 4

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
	var err error
	if b.others, err = b.noise(ctx); err != nil {
		return nil, err
	}
	for _, rate := range fastRates {
		for _, c := range group(rate, false) {
			if err := b.together(ctx, []*cell{c}, b.wearTime); err != nil {
				return nil, err
			}
			s := all[c.system]
			b.say("  %s, %s, %g a second: %.0f bytes an event, %.0f to the device", s.name, s.setting, rate, c.perEvent(), ratio(float64(c.device), float64(c.Sent)))
		}
	}
	return cells, nil
}

// noise is how many bytes a second go to the device while nothing of ours runs.
func (b *bench) noise(ctx context.Context) (float64, error) {
	const watched = 5 * time.Second
	syscall.Sync()
	before, err := rig.DeviceWritten(b.dir)
	if err != nil {
		return 0, nil // a filesystem without a device: there is no column to spoil
	}
	if err := wait(ctx, watched); err != nil {
		return 0, err
	}
	syscall.Sync()
	after, err := rig.DeviceWritten(b.dir)
	return float64(after-before) / watched.Seconds(), err
}

// together measures cells at once. What a cell fails with is kept in it.
func (b *bench) together(ctx context.Context, cells []*cell, length time.Duration) error {
	defer b.discard()
	targets := make([]*target, len(cells))
	defer func() {
		for _, t := range targets {
			if t != nil {
				t.stop()
			}
		}
	}()
	for i, c := range cells { // one after the other: what makes names and ports is not for several goroutines
		s := &systems()[c.system]
		targets[i], c.err = s.start(ctx, b, s, c.down)
	}
	if err := b.settle(ctx, settleTime); err != nil {
		return err
	}
	syscall.Sync()
	device, errBefore := rig.DeviceWritten(b.dir)
	var group errgroup.Group
	for i, c := range cells {
		if targets[i] != nil {
			group.Go(func() error { return c.measure(ctx, targets[i], length) })
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	syscall.Sync()
	after, errAfter := rig.DeviceWritten(b.dir)
	for _, c := range cells {
		c.device = -1
		if len(cells) == 1 && errBefore == nil && errAfter == nil {
			c.device = after - device
		}
	}
	return nil
}

// settleTime is how long a system may take to write what follows from the last event, such as a cursor.
const settleTime = 1500 * time.Millisecond

// measure loads a target for about length, at least two of its intervals. It fails only when ctx ends.
func (c *cell) measure(ctx context.Context, t *target, length time.Duration) error {
	if interval := systems()[c.system].interval; interval <= 10*time.Second {
		length = max(length, 2*interval)
	}
	before, err := rig.Written(t.pid)
	if err != nil {
		c.err = err
		return nil
	}
	count := max(uint64(length.Seconds()*c.rate), 1)
	if c.Result, c.err = t.publish(ctx, count, c.rate); c.err != nil {
		return ctx.Err()
	}
	c.took = length
	if err := wait(ctx, settleTime); err != nil {
		return err
	}
	after, err := rig.Written(t.pid)
	if err != nil {
		c.err = err
		return nil
	}
	c.written = after - before
	if t.extra != nil {
		extra, err := t.extra(ctx, length)
		c.err = err
		c.written += extra
	}
	// The last events wait for their interval, which is not a sign of a system that cannot keep up.
	interval := min(systems()[c.system].interval, 10*time.Second)
	if most := 1.25*float64(count)/c.rate + interval.Seconds() + 2; c.Seconds > most {
		c.err = fmt.Errorf("%d events took %.0f s, want %.0f at most", count, c.Seconds, most)
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"gateway"
	"gateway/buffer"
)

// settleWithin is how long the log may take to give its space back when everything was delivered.
const settleWithin = 90 * time.Second

// trimmedAfter is how long the oldest offset must not have moved for the trimming to be over.
const trimmedAfter = 3 * time.Second

// soaked is what the phase that drops was like.
type soaked struct {
	plan                   *plan
	intake                 *intake
	sampler                *sampler
	ahead, lagging, parked *consumer
	status                 gateway.LogStatus // when everything was drained
	loaded, drained        time.Duration     // when the producers ended, and when the consumers had everything
	left                   int64             // bytes on disk in the end
}

// soak is the phase with a log that drops its oldest events.
func (p *plan) soak(ctx context.Context) (*soaked, error) {
	dir := filepath.Join(p.dir, "dropping")
	l, err := buffer.Open(buffer.Options{Dir: dir, MaxSize: p.maxSize, DropOldest: true, Logger: p.log})
	if err != nil {
		return nil, err
	}
	s := &soaked{plan: p}
	err = s.run(ctx, l, dir)
	return s, errors.Join(err, l.Close())
}

func (s *soaked) run(ctx context.Context, l *buffer.Log, dir string) error {
	s.intake = newIntake(l, s.plan.seed, s.plan.length)
	if err := s.employ(ctx, l); err != nil {
		return err
	}
	s.sampler = &sampler{
		dir: dir, log: l, intake: s.intake, consumers: []*consumer{s.ahead, s.lagging, s.parked}, maxSize: s.plan.maxSize,
	}
	s.intake.started = time.Now()
	sampling, stop := context.WithCancel(ctx)
	defer stop()
	group, sampling := errgroup.WithContext(sampling)
	group.Go(func() error { return s.sampler.run(sampling) })
	err := s.work(sampling, l)
	stop()
	return errors.Join(err, group.Wait())
}

func (s *soaked) employ(ctx context.Context, l *buffer.Log) (err error) {
	half := func() uint64 { return s.intake.total() / 2 }
	if s.ahead, err = newConsumer(ctx, l, "ahead", nil); err != nil {
		return err
	}
	if s.lagging, err = newConsumer(ctx, l, "lagging", half); err != nil {
		return err
	}
	s.parked, err = newConsumer(ctx, l, "stopped", nil)
	return err
}

// work loads the log, drains it and waits until it is small again.
func (s *soaked) work(ctx context.Context, l *buffer.Log) error {
	if err := underLoad(ctx, s.intake, s.plan.length, s.ahead, s.lagging); err != nil {
		return err
	}
	s.loaded = time.Since(s.intake.started)
	group, draining := errgroup.WithContext(ctx)
	for _, c := range s.sampler.consumers {
		group.Go(func() error { return c.readTo(draining, l.Status().Last) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	s.drained = time.Since(s.intake.started)
	for _, c := range s.sampler.consumers {
		if err := c.check.finish(s.intake.counts()); err != nil {
			return fmt.Errorf("consumer %s: %w", c.name, err)
		}
	}
	var err error
	s.left, err = shrink(ctx, l, s.sampler)
	s.status = l.Status()
	return err
}

// underLoad has the producers and consumers work for a while.
func underLoad(ctx context.Context, in *intake, length time.Duration, consumers ...*consumer) error {
	working, stop := context.WithCancel(ctx)
	defer stop()
	group, working := errgroup.WithContext(working)
	for _, c := range consumers {
		group.Go(func() error { return c.run(working) })
	}
	over := make(chan struct{})
	group.Go(func() error {
		defer close(over)
		pause(working.Done(), length)
		return nil
	})
	group.Go(func() error {
		defer stop() // the consumers
		return in.run(ctx, over)
	})
	return group.Wait()
}

// shrink waits until the log has trimmed what it will and its directory is small, and returns what is
// left. That it did not get there is no error: a verdict says so.
func shrink(ctx context.Context, l *buffer.Log, s *sampler) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	first, moved := gateway.Offset(0), time.Now()
	for {
		left, err := dirSize(s.dir)
		if now := l.Status().First; now != first {
			first, moved = now, time.Now()
		}
		done := left <= s.small() && time.Since(moved) > trimmedAfter
		if err != nil || done || !pause(ctx.Done(), diskEvery) {
			return left, err
		}
	}
}

// counts is what each producer was acknowledged.
func (p *intake) counts() (n [producers]uint64) {
	for i := range n {
		n[i] = p.acked[i].Load()
	}
	return n
}

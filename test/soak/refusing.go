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
	"gateway/test/rig"
)

// refused is what the phase that refuses was like.
type refused struct {
	intake  *intake
	sampler *sampler
	only    *consumer
	full    uint64 // calls refused while the consumer was stopped
	resumed uint64 // events taken after it had begun
	status  gateway.LogStatus
	left    int64
}

// refuse is the phase with a log that refuses when it is full: its consumer is stopped until it has refused for a while, and
// then reads.
func (p *plan) refuse(ctx context.Context) (*refused, error) {
	dir := filepath.Join(p.dir, "refusing")
	size := buffer.MinMaxSize // is soon full
	l, err := buffer.Open(buffer.Options{Dir: dir, MaxSize: size, Logger: p.log})
	if err != nil {
		return nil, err
	}
	length := max(p.length/5, 20*time.Second)
	r := &refused{intake: newIntake(l, p.seed+1, length)}
	if r.only, err = newConsumer(ctx, l, "stopped", nil); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	r.sampler = &sampler{dir: dir, log: l, intake: r.intake, consumers: []*consumer{r.only}, bound: size + size/10}
	r.intake.started = time.Now()
	sampling, stop := context.WithCancel(ctx)
	defer stop()
	group, sampling := errgroup.WithContext(sampling)
	group.Go(func() error { return r.sampler.run(sampling) })
	err = r.work(sampling, l, length)
	stop()
	return r, errors.Join(err, group.Wait(), l.Close())
}

func (r *refused) work(ctx context.Context, l *buffer.Log, length time.Duration) error {
	group, working := errgroup.WithContext(ctx)
	over := make(chan struct{})
	group.Go(func() error { return r.intake.run(working, over) })
	group.Go(func() error {
		defer close(over)
		rig.Poll(working, length, func() bool { return r.intake.refused.Load() > 0 })
		pause(working.Done(), window)
		r.full = r.intake.refused.Load()
		before := r.intake.total()
		reading, stop := context.WithTimeout(working, length/2)
		defer stop()
		err := r.only.run(reading)
		r.resumed = r.intake.total() - before
		if errors.Is(err, context.DeadlineExceeded) {
			return nil
		}
		return err
	})
	if err := group.Wait(); err != nil {
		return err
	}
	if err := r.only.readTo(ctx, l.Status().Last); err != nil {
		return err
	}
	if err := r.only.check.finish(r.intake.counts()); err != nil {
		return fmt.Errorf("consumer %s: %w", r.only.name, err)
	}
	var err error
	r.left, err = shrink(ctx, l, r.sampler.dir, l.Status().MaxBytes/2)
	r.status = l.Status()
	return err
}

func (r *refused) summary() []string {
	return []string{fmt.Sprintf("refusing: %d events taken, %d calls refused while nobody read, %d events taken after that", r.intake.total(), r.full, r.resumed)}
}

func (r *refused) verdicts() []verdict {
	bound := r.status.MaxBytes
	return []verdict{
		diskVerdict("reject: disk, at every sample", r.sampler, bound),
		{"reject: calls refused when full", fmt.Sprint(r.full), "> 0", r.full > 0},
		{"reject: events taken when there was room again", fmt.Sprint(r.resumed), "> 0", r.resumed > 0},
		{"reject: events lost", fmt.Sprint(r.only.check.lost), "0", r.only.check.lost == 0 && r.only.check.delivered == r.intake.total()},
		shrinkVerdict("reject: disk after the drain, less than half of max_size", r.left, bound/2), // so small a log is mostly what the engine needs
	}
}

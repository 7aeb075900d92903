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

// fillWithin is how long the log may take to get full.
const fillWithin = 5 * time.Minute

// refused is what the phase that refuses was like.
type refused struct {
	intake        *intake
	sampler       *sampler
	ahead, parked *consumer
	full          uint64        // calls refused while the consumer was stopped
	resumed       uint64        // events taken after it had begun
	loaded        time.Duration // when the producers ended
	status        gateway.LogStatus
	left          int64
}

// refuse is the phase with a log that refuses when it is full: one consumer keeps up, one is stopped until the log has refused
// for a while, and then reads.
func (p *plan) refuse(ctx context.Context) (*refused, error) {
	dir := filepath.Join(p.dir, "refusing")
	size := buffer.MinMaxSize // is soon full
	l, err := buffer.Open(buffer.Options{Dir: dir, MaxSize: size, Logger: p.log})
	if err != nil {
		return nil, err
	}
	length := max(p.length/5, 20*time.Second)
	r := &refused{intake: newIntake(l, p.seed+1, fillWithin+length)}
	err = r.run(ctx, l, dir, length)
	return r, errors.Join(err, l.Close())
}

func (r *refused) run(ctx context.Context, l *buffer.Log, dir string, length time.Duration) (err error) {
	if r.ahead, err = newConsumer(ctx, l, "ahead", nil); err != nil {
		return err
	}
	if r.parked, err = newConsumer(ctx, l, "stopped", nil); err != nil {
		return err
	}
	r.sampler = &sampler{dir: dir, log: l, intake: r.intake, consumers: []*consumer{r.ahead, r.parked}, maxSize: l.Status().MaxBytes}
	r.intake.started = time.Now()
	sampling, stop := context.WithCancel(ctx)
	defer stop()
	group, sampling := errgroup.WithContext(sampling)
	group.Go(func() error { return r.sampler.run(sampling) })
	err = r.work(sampling, l, length)
	stop()
	return errors.Join(err, group.Wait())
}

// work loads the log, drains it and waits until it is small again.
func (r *refused) work(ctx context.Context, l *buffer.Log, length time.Duration) error {
	if err := r.load(ctx, length); err != nil {
		return err
	}
	r.loaded = time.Since(r.intake.started)
	last := l.Status().Last
	for _, c := range r.sampler.consumers {
		if err := c.readTo(ctx, last); err != nil {
			return err
		}
		if err := c.check.finish(r.intake.counts()); err != nil {
			return fmt.Errorf("consumer %s: %w", c.name, err)
		}
	}
	var err error
	r.left, err = shrink(ctx, l, r.sampler)
	r.status = l.Status()
	return err
}

// load has the producers append until the log is full and for length after the consumer that was stopped has begun to read.
func (r *refused) load(ctx context.Context, length time.Duration) error {
	working, stop := context.WithCancel(ctx)
	defer stop()
	group, working := errgroup.WithContext(working)
	over := make(chan struct{})
	group.Go(func() error { return r.ahead.run(working) })
	group.Go(func() error {
		defer stop() // the consumers
		return r.intake.run(working, over)
	})
	group.Go(func() error {
		rig.Poll(working, fillWithin, func() bool { return r.intake.refused.Load() > 0 })
		pause(working.Done(), window)
		r.full = r.intake.refused.Load()
		before := r.intake.total()
		end := time.AfterFunc(length, func() { close(over) })
		defer end.Stop()
		err := r.parked.run(working) // until the producers have ended
		r.resumed = r.intake.total() - before
		return err
	})
	return group.Wait()
}

func (r *refused) summary() []string {
	return []string{fmt.Sprintf("refusing: %d events taken in %s, %.0f a second; %d calls refused while one consumer was stopped, %d events taken after it had begun; max_size %.0f MiB",
		r.intake.total(), r.loaded.Truncate(time.Second), float64(r.intake.total())/r.loaded.Seconds(), r.full, r.resumed, mib(r.status.MaxBytes))}
}

func (r *refused) verdicts() []verdict {
	verdicts := []verdict{diskVerdict("reject: disk, at every sample", r.sampler)}
	verdicts = append(verdicts, flatVerdicts("reject: ", r.intake, r.sampler, r.loaded)...)
	n, lost := r.intake.total(), r.ahead.check.lost+r.parked.check.lost
	return append(verdicts,
		verdict{"reject: calls refused when full", fmt.Sprint(r.full), "> 0", r.full > 0},
		verdict{"reject: events taken when there was room again", fmt.Sprint(r.resumed), "> 0", r.resumed > 0},
		verdict{"reject: events lost", fmt.Sprint(lost), "0", lost == 0 && r.parked.check.delivered == n && r.ahead.check.delivered == n},
		shrinkVerdict("reject: disk after the drain", r.left, r.sampler),
	)
}

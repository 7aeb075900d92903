package buffer

import (
	"errors"
	"sync"
	"time"

	"gateway"
)

const (
	keepHouseEvery = time.Second
	// roomEvery is how often a full log looks whether it has room again.
	roomEvery = 100 * time.Millisecond
	// tidyAfter is how long dead blocks stay at most, though they are few.
	tidyAfter = 10 * time.Minute
	// tidyBytes is what is worth it then.
	tidyBytes = 1 << 20
)

// housekeeper measures the disk, takes dead blocks off it, finds what has become too old, and gives memory back.
type housekeeper struct {
	*Log
	drops   dropper
	dropped time.Time // when, the last time
	merged  uint64    // the head when deleted blocks were merged away for room, and when that was
	mergeAt time.Time
	opened  time.Time // zero once it ran for a while, and that was written down
	aged    time.Time // when the ages were looked at
}

// keepHouse is the housekeeper's goroutine, until Close.
func (l *Log) keepHouse() {
	timer := time.NewTimer(keepHouseEvery)
	defer timer.Stop()
	k := housekeeper{Log: l, dropped: time.Now(), opened: time.Now()}
	for {
		select {
		case <-l.stop:
			l.losses.tell(l.log, time.Now(), true)
			return
		case <-l.usage.remeasure:
		case <-timer.C:
		}
		k.round(time.Now())
		timer.Reset(keepHouseEvery)
		if l.usage.full.Load() {
			timer.Reset(roomEvery)
		}
	}
}

func (k *housekeeper) round(now time.Time) {
	if k.usage.refused.Load() {
		k.lookAgain() // the writer asks the disk once more
	}
	k.usage.measure()
	if err := k.dropDead(now); err != nil && !errors.Is(err, gateway.ErrClosed) {
		k.log.Warn("cannot take deleted blocks off the disk", "dir", k.o.Dir, "err", err)
	}
	if err := k.makeRoom(now); err != nil && !errors.Is(err, gateway.ErrClosed) {
		k.log.Warn("cannot merge deleted blocks away", "dir", k.o.Dir, "err", err)
	}
	if now.Sub(k.aged) >= ageEvery {
		k.aged = now
		if err := k.lookAtAges(); err != nil {
			k.log.Warn("cannot find what is too old", "dir", k.o.Dir, "err", err)
		}
	}
	if !k.opened.IsZero() && now.Sub(k.opened) >= lastingAfter {
		k.opened = time.Time{}
		if err := k.noteState(stateFile{}); err != nil {
			k.log.Warn("the state of the log cannot be written down", "dir", k.o.Dir, "err", err)
		}
	}
	if err := k.noteTime(); err != nil {
		k.log.Warn("the time of this boot cannot be written down", "err", err)
	}
	releasePages(k.engine.dir)
	k.wear.sample()
	k.losses.tell(k.log, now, false)
}

// dropDead takes dead blocks off the disk when there are enough of them.
func (k *housekeeper) dropDead(now time.Time) error {
	u := &k.usage
	if k.o.ReadOnly {
		return nil
	}
	dead := u.dead.Load()
	fresh := int64(dead - k.drops.dead)
	if fresh < u.dropEvery() && (fresh < tidyBytes || now.Sub(k.dropped) < tidyAfter) || u.starved.Load() {
		return nil
	}
	k.dropped = now
	before := u.bytes()
	err := releasing(k.engine.dir, func() error { return k.drops.run(k.engine, gateway.Offset(u.head.Load()), dead) })
	u.measure()
	k.log.Debug("took deleted blocks off the disk", "bytes_before", before, "bytes", u.bytes(), "took", time.Since(now))
	return err
}

// mergeEvery is how often deleted blocks are merged away for room, at most: it writes some tens of MiB.
const mergeEvery = 10 * time.Second

// makeRoom has the engine merge away, at once, what was deleted, if the log is full with that: without appends it has no reason to.
func (k *housekeeper) makeRoom(now time.Time) error {
	u := &k.usage
	head := u.head.Load()
	garbage := u.measured.Load() - int64(u.live.Load()) - engineRoom
	if !u.full.Load() || u.starved.Load() || k.o.ReadOnly || head == k.merged || garbage < u.dropEvery() || now.Sub(k.mergeAt) < mergeEvery {
		return nil
	}
	k.merged, k.mergeAt = head, now
	before := u.bytes()
	err := releasing(k.engine.dir, func() error {
		return errors.Join(k.drops.run(k.engine, gateway.Offset(head), u.dead.Load()), k.engine.reclaim())
	})
	u.measure()
	k.log.Debug("merged deleted blocks away", "bytes_before", before, "bytes", u.bytes(), "took", time.Since(now))
	return err
}

// releasing releases pages while fn, which touches many, runs.
func releasing(dir string, fn func() error) error {
	done := make(chan struct{})
	var releaser sync.WaitGroup
	releaser.Go(func() {
		tick := time.NewTicker(roomEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				releasePages(dir)
			}
		}
	})
	defer releaser.Wait()
	defer close(done)
	return fn()
}

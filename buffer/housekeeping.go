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
	// garbageBound is how much deleted data may wait for the engine to merge it away by itself.
	garbageBound = 64 << 20
)

// keepHouse measures the disk, has deleted blocks merged away, and gives memory back, until Close.
func (l *Log) keepHouse() {
	timer := time.NewTimer(keepHouseEvery)
	defer timer.Stop()
	var k housekeeper
	for {
		select {
		case <-l.stop:
			return
		case <-l.usage.remeasure:
		case <-timer.C:
		}
		l.usage.measure()
		if err := k.reclaim(l); err != nil && !errors.Is(err, gateway.ErrClosed) {
			l.log.Warn("cannot merge deleted blocks away", "dir", l.o.Dir, "err", err)
		}
		releasePages(l.engine.dir)
		timer.Reset(keepHouseEvery)
		if l.usage.full.Load() {
			timer.Reset(roomEvery)
		}
	}
}

// housekeeper remembers what it did.
type housekeeper struct {
	deleted uint64 // usage.deleted at the last reclaim
}

// reclaim has the engine give back what deleted blocks take. It does so by itself when new data push the deletes down; this
// is for the end of a backlog, when much was deleted and little is written.
func (k *housekeeper) reclaim(l *Log) error {
	u := &l.usage
	deleted, garbage := u.deleted.Load(), u.garbage()
	fresh := int64(deleted - k.deleted)
	if u.bytes() > u.high()*3/4 { // before it is full for the sake of garbage
		if garbage < l.o.MaxSize/16 || fresh < l.o.MaxSize/16 {
			return nil
		}
	} else if garbage < garbageBound || garbage < int64(u.live.Load())/4 || fresh < garbageBound/2 {
		return nil
	}
	k.deleted = deleted
	err := releasing(l.engine.dir, l.engine.reclaim)
	u.measure()
	l.log.Debug("merged deleted blocks away", "bytes_before", garbage+int64(u.live.Load()), "bytes", u.bytes())
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

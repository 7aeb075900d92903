package buffer

import (
	"sync/atomic"
	"time"

	"gateway"
)

// usage is what the log takes on disk: a measurement, and an estimate of what was written since.
type usage struct {
	log       *Log
	ballast   *ballast
	measured  atomic.Int64
	since     atomic.Int64  // bytes written since then
	live      atomic.Uint64 // bytes of the blocks that are kept
	dead      atomic.Uint64 // bytes of blocks ever left for the housekeeper to drop
	head      atomic.Uint64 // the durable head: blocks before it are dead
	touched   atomic.Int64  // bytes read from the engine since the housekeeper was told
	room      atomic.Int64  // what the file system has let the log take so far, see fit
	full      atomic.Bool
	crowded   atomic.Bool   // the disk, not the log, is nearly full
	starved   atomic.Bool   // it has not even enough left to give space back
	refused   atomic.Bool   // the disk did not give what the engine needs next, whatever it says is free: a quota
	remeasure chan struct{} // capacity 1
	glanced   time.Time     // the writer's
}

func (u *usage) init(l *Log, s state) {
	u.log = l
	u.ballast = newBallast(&l.o)
	u.remeasure = make(chan struct{}, 1)
	u.live.Store(s.cumulative - s.trimmed)
	u.head.Store(uint64(s.first))
	u.dead.Store(s.trimmed) // may still be there
	u.measure()
}

// bytes is the estimate of now.
func (u *usage) bytes() int64 { return u.measured.Load() + u.since.Load() }

const (
	// workRoom is what the engine takes for a while when it merges tables: new ones beside the old.
	workRoom = 20 << 20
	// engineRoom is what its write-ahead logs take.
	engineRoom = 4 * walRoom
)

// The log is full at high and has room again at low. high is below the bound, because of workRoom, and not above what the disk
// has ever had for us.
func (u *usage) high() int64 {
	return min(u.log.o.MaxSize-workRoom-ballastSize(u.log.o.MaxSize), u.room.Load())
}
func (u *usage) low() int64 { return u.high() - u.log.o.MaxSize/32 }

// keep is how many bytes of blocks are kept where the oldest make room. The rest of high is for the engine's logs, and for dead
// blocks that are not dropped yet.
func (u *usage) keep() uint64 {
	return uint64(max(u.high()-engineRoom-2*u.dropEvery(), u.high()/4, 0))
}

// dropEvery is how many bytes of dead blocks are dropped from the disk at once.
func (u *usage) dropEvery() int64 { return min(u.log.o.MaxSize/24, 64<<20) }

// step is after how many bytes the estimate is not good enough any more.
func (u *usage) step() int64 { return min(u.log.o.MaxSize/64, 8<<20) }

// wrote tells of a commit of n bytes, of the bytes of all blocks ever written, and of what the commit cut off. It is the writer's.
func (u *usage) wrote(n int, written uint64, c *cut) {
	u.live.Store(written - c.bytes)
	if c.n > 0 {
		u.head.Store(uint64(c.first))
		u.dead.Add(c.dead)
	}
	since := u.since.Add(int64(n) + 64)
	if since > u.step() || c.dead > 0 && int64(u.dead.Load()%uint64(u.dropEvery())) < int64(c.dead) {
		u.look()
	}
	if u.bytes() >= u.high() {
		u.setFull(true)
	}
}

// read tells of a block read from the engine, whose pages are resident now.
func (u *usage) read(n int) {
	if u.touched.Add(int64(n)) < residentBound/2 {
		return
	}
	u.touched.Store(0)
	u.look()
}

// look has the housekeeper look, soon.
func (u *usage) look() {
	select {
	case u.remeasure <- struct{}{}:
	default:
	}
}

// measure asks the file system. It is the housekeeper's (and Open's).
func (u *usage) measure() {
	before := u.since.Load()
	n, err := diskBytes(u.log.engine.dir)
	if err != nil {
		u.log.log.Warn("cannot measure the data directory", "dir", u.log.o.Dir, "err", err)
		return
	}
	u.measured.Store(n)
	u.since.Add(-before)
	u.fit()
	switch bytes := u.bytes(); {
	case bytes >= u.high() || u.crowded.Load():
		u.setFull(true)
	case bytes < u.low():
		u.setFull(false)
	}
}

// fit asks what the file system has left. Whoever filled it: with less than the reserve nothing is appended. What it has had
// for us at some time is what the log may take of it: at that size the log is full by itself, as it is at MaxSize. If somebody else
// takes the space later, then the oldest events do not go to make room for him.
func (u *usage) fit() {
	free, err := u.log.o.hooks.free(u.log.o.Dir)
	if err != nil {
		return
	}
	u.balance(free)
	missing := u.ballast.size - u.ballast.bytes()
	u.crowded.Store(free-missing < u.log.o.Reserve || u.refused.Load())
	u.starved.Store(free < openReserve)
	if room := u.bytes() + max(free-missing-u.log.o.Reserve-workRoom, 0); room > u.room.Load() {
		u.room.Store(room)
	}
}

// balance gives the ballast up when little is free, and takes it back when there is room for it beside the reserve.
func (u *usage) balance(free int64) {
	switch held := u.ballast.bytes() > 0; {
	case held && free < u.log.o.Reserve/2:
		if u.ballast.release() {
			u.log.log.Warn("disk is nearly full: gave up the room that was kept for the engine, to write out what it holds", "dir", u.log.o.Dir, "free", free)
		}
	case !held && free >= u.log.o.Reserve+u.ballast.size:
		if err := u.ballast.hold(); err != nil {
			u.log.log.Debug("no room can be kept for the engine", "dir", u.log.o.Dir, "err", err)
		}
	}
}

// glance is the writer's look at the disk before it commits events, so that a neighbour who fills it is noticed at once.
func (u *usage) glance(now time.Time) {
	if now.Sub(u.glanced) < glanceEvery {
		return
	}
	u.glanced = now
	free, err := u.log.o.hooks.free(u.log.o.Dir)
	if err == nil && free < u.log.o.Reserve {
		u.crowd()
	}
}

// glanceEvery is how often glance asks.
const glanceEvery = 5 * time.Millisecond

// crowd says that the disk is full.
func (u *usage) crowd() {
	u.crowded.Store(true)
	u.setFull(true)
}

// reason says why appends are refused, "" if they are not.
func (u *usage) reason() string {
	switch {
	case !u.full.Load():
		return ""
	case u.crowded.Load() || u.high() == u.room.Load():
		return gateway.FullDisk
	}
	return gateway.FullSize
}

// setFull logs the change.
func (u *usage) setFull(full bool) {
	if u.full.Swap(full) == full {
		return
	}
	if full {
		u.look() // for room
	}
	l := u.log
	attrs := []any{"dir", l.o.Dir, "bytes", u.bytes(), "max_bytes", l.o.MaxSize, "events", l.last.Load() + 1 - l.first.Load()}
	switch u.reason() {
	case "":
		l.log.Info("log has room again", attrs...)
	case gateway.FullDisk:
		l.log.Warn("disk is full: events are refused until space is freed on it", attrs...)
	default:
		l.log.Warn("log is full: events are refused until the forwarders deliver; see that they can, or raise buffer.max_size", attrs...)
	}
}

package buffer

import (
	"sync/atomic"
)

// usage is what the log takes on disk: a measurement, and an estimate of what was written since.
type usage struct {
	log       *Log
	measured  atomic.Int64
	since     atomic.Int64  // bytes written since then
	live      atomic.Uint64 // bytes of the blocks that are kept
	deleted   atomic.Uint64 // bytes of all blocks ever deleted
	touched   atomic.Int64  // bytes read from the engine since the housekeeper was told
	full      atomic.Bool
	crowded   atomic.Bool   // the disk, not the log, is nearly full
	remeasure chan struct{} // capacity 1
}

func (u *usage) init(l *Log, s state) {
	u.log = l
	u.remeasure = make(chan struct{}, 1)
	u.live.Store(s.cumulative - s.trimmed)
	u.deleted.Store(s.trimmed)
	u.measure()
}

// bytes is the estimate of now.
func (u *usage) bytes() int64 { return u.measured.Load() + u.since.Load() }

// workRoom is what the engine takes for a while when it merges tables: new ones beside the old.
const workRoom = 20 << 20

// The log is full at high and has room again at low, both below the bound, because of workRoom.
func (u *usage) high() int64 { return u.log.o.MaxSize - workRoom }
func (u *usage) low() int64  { return u.high() - u.log.o.MaxSize/32 }

// keep is how many bytes of blocks are kept while no cursor exists. The rest is for deleted blocks that the engine has
// not merged away yet.
func (u *usage) keep() uint64 { return uint64(u.high() - max(u.high()/8, workRoom)) }

// step is after how many bytes the estimate is not good enough any more.
func (u *usage) step() int64 { return min(u.log.o.MaxSize/64, 8<<20) }

// wrote tells of a commit of n bytes, and of the bytes of all blocks ever written and deleted. It is the writer's.
func (u *usage) wrote(n int, written, deleted uint64) {
	u.live.Store(written - deleted)
	u.deleted.Store(deleted)
	since := u.since.Add(int64(n) + 64)
	if since > u.step() {
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
	free, err := u.log.o.hooks.free(u.log.o.Dir)
	u.crowded.Store(err == nil && free < u.log.o.Reserve)
	switch bytes := u.bytes(); {
	case bytes >= u.high() || u.crowded.Load():
		u.setFull(true)
	case bytes < u.low():
		u.setFull(false)
	}
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
	switch {
	case !full:
		l.log.Info("log has room again", attrs...)
	case u.crowded.Load():
		l.log.Warn("disk is full: events are refused until space is freed on it", attrs...)
	default:
		l.log.Warn("log is full: events are refused until the forwarders deliver; see that they can, or raise buffer.max_size", attrs...)
	}
}

// garbage is about how many bytes could be had back.
func (u *usage) garbage() int64 { return u.measured.Load() - int64(u.live.Load()) }

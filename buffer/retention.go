package buffer

import (
	"math"
	"time"

	"gateway"
)

// rules say which of the oldest blocks go with the next transaction. In this order: what is needed for room; nothing of the
// newest blocks; what is older than anybody may keep it; what every cursor has passed, and was kept for replay long enough.
type rules struct {
	most    int            // blocks
	passed  gateway.Offset // every cursor is past it
	recent  gateway.Offset // the blocks from here on are kept for Recent
	expired gateway.Offset // blocks before it are older than MaxAge
	retired gateway.Offset // blocks before it are older than KeepDelivered
	keep    bool           // what is passed is kept until it is retired
	drop    bool           // what a cursor is owed goes too, if room is needed
	written uint64         // bytes of all blocks ever written, with the one that comes
	room    uint64         // bytes of blocks that may be kept
}

// kept is how many bytes of blocks there are when deleted bytes went.
func (r *rules) kept(deleted uint64) int64 { return int64(r.written - deleted) }

// judge says whether the oldest block goes, which ends at last and before which blocks of deleted bytes went; and if it does,
// for what reason somebody loses it.
func (r *rules) judge(last gateway.Offset, deleted uint64) (lost string, goes bool) {
	passed := last <= r.passed
	unless := func(reason string) string {
		if passed {
			return ""
		}
		return reason
	}
	switch {
	case r.kept(deleted) > int64(r.room) && (passed || r.drop):
		return unless(gateway.LostFull), true
	case last >= r.recent:
		return "", false
	case last < r.expired:
		return unless(gateway.LostAge), true
	case passed:
		return "", !r.keep || last < r.retired
	}
	return "", false
}

// dropStep is how much is dropped at once when there is no room: a gap is written once for as much, not with every commit.
func (u *usage) dropStep() uint64 { return uint64(min(u.log.o.MaxSize/64, 4<<20)) }

// planTrim decides what the next transaction deletes. alone: it does nothing else.
func (w *writer) planTrim(settled map[string]gateway.Offset, incoming int, alone bool) (cut, error) {
	w.trim.last = gateway.Offset(w.last.Load())
	r := rules{
		most: maxDeletes, passed: passedBy(settled), recent: w.newest.oldest(),
		expired: gateway.Offset(w.ages.expired.before.Load()), retired: gateway.Offset(w.ages.retired.before.Load()),
		keep: len(settled) == 0 || w.o.KeepDelivered > 0, drop: w.o.DropOldest,
		written: w.bytes + uint64(incoming), room: w.usage.keep(),
	}
	switch {
	case w.usage.starved.Load() || w.o.ReadOnly:
		r.most = 0 // deletes would make the engine merge, for which there is no room
	case alone:
		r.most = maxDeletesAlone
	}
	if r.kept(w.trim.bytes) > int64(r.room) {
		r.room -= min(r.room, w.usage.dropStep())
	}
	return w.trim.plan(&r)
}

// passedBy is the offset that every cursor has passed; without cursors nobody is owed anything.
func passedBy(settled map[string]gateway.Offset) gateway.Offset {
	passed := gateway.Offset(math.MaxUint64 - 1)
	for _, offset := range settled {
		passed = min(passed, offset)
	}
	return passed
}

// planGaps returns the gaps as they are after c and with the holes, and the writes that say so. Gaps that every cursor has passed are
// forgotten, if a transaction happens anyway.
func (w *writer) planGaps(settled map[string]gateway.Offset, holes []gateway.Gap, c *cut, anyway bool) ([]gateway.Gap, []write, error) {
	list := w.gaps.all()
	if len(c.lost)+len(holes) == 0 && (len(list) == 0 || !anyway) {
		return list, nil, nil
	}
	now := w.now().UTC().Truncate(time.Microsecond)
	// A gap in the middle of what is kept stays: somebody may read there again.
	after := withoutPassed(list, min(passedBy(settled), c.first-1))
	for _, h := range holes {
		after = withGap(after, h)
	}
	for i := range c.lost {
		lost := &c.lost[i]
		lost.since, lost.until = w.receivedAt(lost.begins), w.receivedAt(lost.end)
		if lost.until.Before(lost.since) { // of a clock that was set in between
			lost.since, lost.until = time.Time{}, time.Time{}
		}
		after = withGap(after, gateway.Gap{
			From: lost.from, To: lost.to, Reason: lost.reason, Noticed: now, Since: lost.since, Until: lost.until,
		})
	}
	writes, err := gapChanges(list, after)
	return after, writes, err
}

// newest is a ring of the first offsets of the newest blocks, which trim keeps for Recent. It belongs to the writer.
type newest struct {
	firsts [recentBlocks]gateway.Offset
	n      int // ever pushed
}

func (r *newest) push(first gateway.Offset) {
	r.firsts[r.n%recentBlocks] = first
	r.n++
}

// oldest is the first offset of the oldest of them; 0 while there are fewer than recentBlocks: then no block is older.
func (r *newest) oldest() gateway.Offset {
	if r.n < recentBlocks {
		return 0
	}
	return r.firsts[r.n%recentBlocks]
}

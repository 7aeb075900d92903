package buffer

import (
	"math"
	"time"

	"gateway"
)

const (
	// trimPause is the time between two transactions that only trim.
	trimPause = 10 * time.Millisecond
	// trimAhead is how many blocks the trimmer knows in advance, at most.
	trimAhead = 4096
)

// trimmer knows the oldest blocks. It belongs to the writer.
type trimmer struct {
	engine *engine
	first  gateway.Offset // the oldest event kept
	bytes  uint64         // of all blocks ever deleted
	queue  []blockRef     // the oldest blocks, in order
	whole  bool           // queue has all blocks there are
	last   gateway.Offset // the newest durable event
}

func newTrimmer(e *engine, s state) trimmer {
	return trimmer{engine: e, first: s.first, bytes: s.trimmed, last: s.last, whole: s.first > s.last}
}

// appended tells of a new durable block.
func (t *trimmer) appended(b blockRef) {
	if t.whole = t.whole && len(t.queue) < trimAhead; t.whole {
		t.queue = append(t.queue, b)
	}
}

// cut is what a transaction deletes.
type cut struct {
	blocks []blockRef
	first  gateway.Offset // the oldest event kept, then
	bytes  uint64         // of all blocks ever deleted, then
	events uint64
	more   bool // there may be more to delete
}

func (c *cut) appendWrites(writes []write) []write {
	if len(c.blocks) == 0 {
		return writes
	}
	for _, b := range c.blocks {
		writes = append(writes, write{key: blockKey(b.first)})
	}
	return append(writes, write{[]byte(metaHead), headValue(c.first, c.bytes)})
}

// plan finds the blocks to delete, at most max: while done says so of a block that ends at last, when
// bytes of all blocks ever were deleted before it.
func (t *trimmer) plan(max int, done func(last gateway.Offset, bytes uint64) bool) (cut, error) {
	c := cut{first: t.first, bytes: t.bytes}
	n := 0
	for ; n < max; n++ {
		last, ok, err := t.lastOf(n)
		if err != nil {
			return c, err
		}
		if !ok || !done(last, c.bytes) {
			break
		}
		c.bytes += uint64(t.queue[n].size)
		c.events += uint64(last + 1 - c.first)
		c.first = last + 1
	}
	c.blocks, c.more = t.queue[:n], n == max
	t.queue = t.queue[n:]
	t.first, t.bytes = c.first, c.bytes
	return c, nil
}

// lastOf returns the last offset of the n-th oldest block; false if there is no such block.
func (t *trimmer) lastOf(n int) (gateway.Offset, bool, error) {
	if n+1 >= len(t.queue) && !t.whole {
		if err := t.lookAhead(); err != nil {
			return 0, false, err
		}
	}
	switch {
	case n+1 < len(t.queue):
		return t.queue[n+1].first - 1, true, nil
	case n < len(t.queue) && t.whole:
		return t.last, true, nil
	}
	return 0, false, nil
}

// lookAhead reads more of the oldest blocks' keys, from where the remembered head or the last look ended.
func (t *trimmer) lookAhead() error {
	from := t.first
	if n := len(t.queue); n > 0 {
		from = t.queue[n-1].first + 1
	}
	room := trimAhead - len(t.queue)
	queue := append(make([]blockRef, 0, trimAhead), t.queue...)
	queue, err := t.engine.blocksFrom(from, queue, room)
	if err != nil {
		return err
	}
	t.whole = len(queue) < trimAhead
	t.queue = queue
	return nil
}

// planTrim decides what the next transaction deletes: blocks that all cursors have passed, or, where nobody has a cursor, the oldest when
// the log is at its bound.
func (w *writer) planTrim(settled map[string]gateway.Offset, incoming int, alone bool) (cut, error) {
	most := maxDeletes
	if alone {
		most = maxDeletesAlone
	}
	w.trim.last = gateway.Offset(w.last.Load())
	if len(settled) == 0 {
		keep := w.usage.keep()
		written := w.bytes + uint64(incoming)
		return w.trim.plan(most, func(_ gateway.Offset, deleted uint64) bool { return written-deleted > keep })
	}
	passed := gateway.Offset(math.MaxUint64)
	for _, offset := range settled {
		passed = min(passed, offset)
	}
	return w.trim.plan(most, func(last gateway.Offset, _ uint64) bool { return last <= passed })
}

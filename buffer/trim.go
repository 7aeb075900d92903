package buffer

import (
	"fmt"
	"time"

	"gateway"
)

const (
	// trimPause is the time between two transactions that only trim.
	trimPause = 10 * time.Millisecond
	// trimAhead is how many blocks the trimmer knows in advance, at most.
	trimAhead = 4096
	// youngBytes is how near to the end of the log a block must be, in bytes of blocks, to be deleted by its key. The engine
	// still has it in its upper levels and merges it away on the way down. The deletes of older blocks would be merged with
	// every table between them and the end: such blocks are left behind the head, and dropped with their tables (dropDead).
	youngBytes = 8 << 20
)

// trimmer knows the oldest blocks. It belongs to the writer.
type trimmer struct {
	engine *engine
	first  gateway.Offset            // the oldest event kept
	bytes  uint64                    // of all blocks ever deleted
	queue  []blockRef                // the oldest blocks, in order
	whole  bool                      // queue has all blocks there are
	last   gateway.Offset            // the newest durable event
	looked bool                      // every table was read before it was opened
	gone   func(gateway.Offset) bool // the offset is in a gap
}

func newTrimmer(l *Log, s state) trimmer {
	gone := func(offset gateway.Offset) bool { _, _, ok := l.gaps.at(offset); return ok }
	return trimmer{engine: l.engine, first: s.first, bytes: s.trimmed, last: s.last, whole: s.first > s.last, looked: l.looked, gone: gone}
}

// appended tells of a new durable block.
func (t *trimmer) appended(b blockRef) {
	if t.whole = t.whole && len(t.queue) < trimAhead; t.whole {
		t.queue = append(t.queue, b)
	}
}

// cut is what a transaction deletes.
type cut struct {
	n      int            // blocks
	first  gateway.Offset // the oldest event kept, then
	bytes  uint64         // of all blocks ever deleted, then
	keys   []blockRef     // those of the blocks that are deleted by their keys
	dead   uint64         // bytes of the others
	events uint64         // that nobody was owed
	lost   []loss         // what somebody was
	more   bool           // there may be more to delete
}

// loss is a run of events that are deleted though a cursor has not passed them.
type loss struct {
	reason      string
	from, to    gateway.Offset
	begins, end gateway.Offset // the first offsets of the blocks that from and to are in
	// since and until are about when they were received, zero if that is not known.
	since, until time.Time
}

func (c *cut) appendWrites(writes []write) []write {
	if c.n == 0 {
		return writes
	}
	for _, b := range c.keys {
		writes = append(writes, write{key: blockKey(b.first)})
	}
	return append(writes, write{[]byte(metaHead), headValue(c.first, c.bytes)})
}

// take adds the block b, which ends at last; reason says why somebody loses it, "" if nobody does.
func (c *cut) take(b blockRef, last gateway.Offset, reason string, r *rules) {
	owed := max(c.first, r.passed+1)
	c.events += uint64(last + 1 - c.first)
	if reason != "" {
		c.events -= uint64(last + 1 - owed)
		c.lose(reason, owed, last, b.first)
	}
	if r.kept(c.bytes) <= youngBytes {
		c.keys = append(c.keys, b)
	} else {
		c.dead += uint64(b.size)
	}
	c.n++
	c.bytes += uint64(b.size)
	c.first = last + 1
}

func (c *cut) lose(reason string, from, to, block gateway.Offset) {
	if n := len(c.lost); n > 0 && c.lost[n-1].reason == reason {
		c.lost[n-1].to, c.lost[n-1].end = to, block
		return
	}
	c.lost = append(c.lost, loss{reason: reason, from: from, to: to, begins: block, end: block})
}

// plan finds the blocks to delete, by the rules.
func (t *trimmer) plan(r *rules) (cut, error) {
	c := cut{first: t.first, bytes: t.bytes}
	for c.n < r.most {
		last, ok, err := t.lastOf(c.n)
		if err != nil {
			return c, err
		}
		if !ok {
			break
		}
		reason, goes := r.judge(last, c.bytes)
		if !goes {
			break
		}
		c.take(t.queue[c.n], last, reason, r)
	}
	c.more = c.n == r.most && c.n > 0
	t.queue = t.queue[c.n:]
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
	if t.whole && !t.looked {
		return t.checkEnd()
	}
	return nil
}

// checkEnd makes sure that the newest block that the engine knows is the newest there is: it ends a list without an error where
// a table is damaged, and what is behind it would be taken for a part of the block before.
func (t *trimmer) checkEnd() error {
	if len(t.queue) == 0 {
		return nil
	}
	newest := t.queue[len(t.queue)-1].first
	return t.engine.get(blockKey(newest), func(block []byte) error {
		if h, err := parseHeader(block); err == nil && h.last() < t.last && !t.gone(h.last()+1) {
			return fmt.Errorf("%w: there is nothing behind offset %d, the newest is %d", errEngine, h.last(), t.last)
		}
		return nil
	})
}

package buffer

import (
	"fmt"
	"time"

	"gateway"
)

// lazyCommit is how long cursor moves wait for something else to be committed.
const lazyCommit = time.Second

// writer is the one goroutine that commits.
type writer struct {
	*Log
	seal    *sealer
	trim    trimmer
	newest  newest
	ahead   preallocator
	spare   *group
	started time.Time // the newest commit
	trimAt  time.Time // when to trim though nothing else happens; zero: not at all
	writes  []write
	bytes   uint64 // of all blocks ever written
}

func newWriter(l *Log, s state, seal *sealer) (*writer, error) {
	w := &writer{
		Log: l, seal: seal, bytes: s.cumulative,
		trim:   newTrimmer(l, s),
		ahead:  preallocator{dir: l.engine.dir},
		trimAt: time.Now().Add(lazyCommit), // what a kill left over
	}
	refs, err := l.engine.newestBlocks(s.first, recentBlocks)
	if err != nil {
		return nil, fmt.Errorf("find the newest blocks: %w", err)
	}
	for i := len(refs) - 1; i >= 0; i-- {
		w.newest.push(refs[i].first)
	}
	return w, w.prepare()
}

func (w *writer) run() {
	defer close(w.acks)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if w.spare == nil {
			w.spare = <-w.free
		}
		g, wait := w.take(time.Now())
		if g != nil {
			g.err = w.commit(g)
			w.acks <- g
			continue
		}
		if wait == 0 {
			return
		}
		timer.Reset(wait)
		select {
		case <-w.wake:
		case <-timer.C:
		}
	}
}

// take swaps the open group for the spare one, if it is due. Otherwise it says how long to wait, 0 at the end.
func (w *writer) take(now time.Time) (*group, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	g := w.open
	if w.closing && g.empty() {
		return nil, 0
	}
	if wait := w.dueIn(g, now); wait > 0 {
		return nil, wait
	}
	w.open, w.spare = w.spare, nil
	w.wakeRoom()
	return g, 0
}

// dueIn says how long the open group is to wait for more. w.mu is held.
func (w *writer) dueIn(g *group, now time.Time) time.Duration {
	wait := time.Hour
	switch {
	case w.closing || w.failure != nil && !g.empty():
		return 0
	case g.urgent && (g.half() || w.room != nil), w.ages.due.Load():
		return 0
	case g.urgent:
		wait = w.started.Add(w.o.CommitInterval).Sub(now)
	case !g.empty():
		wait = g.since.Add(lazyCommit).Sub(now)
	}
	if !w.trimAt.IsZero() {
		wait = min(wait, w.trimAt.Sub(now))
	}
	return wait
}

// commit makes g durable, in one synced transaction, and shows it to the readers.
func (w *writer) commit(g *group) error {
	w.started, w.trimAt = time.Now(), time.Time{}
	w.ages.due.Store(false)
	if err := w.failed(); err != nil {
		return err
	}
	if err := w.prepare(); err != nil {
		w.fail(err)
		return w.failed()
	}
	var block []byte
	writes := w.writes[:0]
	if g.builder.count > 0 {
		w.usage.glance(w.started)
		g.header.cumulative = w.bytes
		block = w.seal.seal(g.builder, g.header)
		writes = append(writes, write{blockKey(g.first), block})
	}
	writes = g.appendWrites(writes)
	settled := w.settle(g)
	cut, err := w.planTrim(settled, len(block), len(writes) == 0)
	var gaps []gateway.Gap
	if err == nil {
		writes = cut.appendWrites(writes)
		var changes []write
		gaps, changes, err = w.planGaps(settled, g.holes, &cut, len(writes) > 0)
		writes = append(writes, changes...)
	}
	if err == nil {
		err = w.store(writes, cut.first, gaps)
	}
	clear(writes)
	w.writes = writes[:0]
	if err != nil {
		w.fail(err)
		return w.failed()
	}
	w.publish(g, block, settled, cut)
	return nil
}

// settle returns the durable cursors as they are after g; the same map if g moves none.
func (w *writer) settle(g *group) map[string]gateway.Offset {
	if len(g.cursors) == 0 {
		return w.settled
	}
	settled := make(map[string]gateway.Offset, len(w.settled)+1)
	for name, offset := range w.settled {
		settled[name] = offset
	}
	for _, c := range g.cursors {
		if c.forget {
			delete(settled, c.name)
			continue
		}
		settled[c.name] = c.offset
	}
	return settled
}

// store commits the writes, if there are any.
func (w *writer) store(writes []write, first gateway.Offset, gaps []gateway.Gap) error {
	if hook := w.o.hooks.beforeCommit; hook != nil {
		if err := hook(); err != nil {
			return err
		}
	}
	if len(writes) == 0 {
		return nil
	}
	// Readers learn of the trim before it happens, so that a block that is not there is not taken for a damage.
	w.gaps.stage(gaps)
	w.first.Store(uint64(first))
	err := w.engine.commit(writes)
	w.gaps.settle(err == nil)
	return err
}

// prepare gives the engine's next write-ahead log its blocks. On a full disk there is the ballast for that; and if even that is
// gone, what is in hand still has room in the log in use, and nothing more is taken.
func (w *writer) prepare() error {
	err := w.ahead.prepare()
	if isFullDisk(err) && w.usage.ballast.release() {
		err = w.ahead.prepare()
	}
	full := isFullDisk(err)
	w.usage.refused.Store(full)
	if full {
		w.usage.crowd()
		return nil
	}
	return err
}

// publish lets everybody see what became durable.
func (w *writer) publish(g *group, block []byte, settled map[string]gateway.Offset, cut cut) {
	if len(g.cursors) > 0 {
		w.settledMu.Lock()
		w.settled = settled
		w.settledMu.Unlock()
	}
	written := len(block) + g.extra + len(cut.keys)*keyOverhead
	if block != nil {
		w.bytes += uint64(len(block))
		h := g.header
		h.count = uint32(g.builder.count)
		w.trim.appended(blockRef{h.first, len(block)})
		w.newest.push(h.first)
		w.last.Store(uint64(h.last()))
		w.tail.push(h.first, h.last(), block)
	}
	if cut.more {
		w.trimAt = time.Now().Add(trimPause)
	}
	w.counts.add(g, block, cut)
	w.losses.add(cut.lost)
	w.losses.addHoles(g.holes)
	w.usage.wrote(written, w.bytes, &cut)
}

// acknowledge calls the callbacks, group by group.
func (l *Log) acknowledge() {
	for g := range l.acks {
		for _, a := range g.acks {
			if g.err != nil {
				a.done(0, g.err)
				continue
			}
			a.done(a.last, nil)
		}
		g.reset()
		l.free <- g
	}
}

package buffer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gateway"
)

// Damage that shows while the log runs: flash forgets what was right when the log was opened. A reader that meets a block that is
// not what was written has it mended: what is left of the block is set aside, a gap takes its place, and reading goes on.

// mender mends one block at a time.
type mender struct {
	mu     sync.Mutex
	folder string // in quarantine, of this run; made when it is needed
}

// mend makes a gap of what cannot be read at offset, and returns nil when there is something to read there: the gap, or the
// block, if it was right after all. It returns cause if it is not damage. If not even the engine can read, the log stops, and the next
// start looks at every file.
func (l *Log) mend(ctx context.Context, offset gateway.Offset, cause error) error {
	if errors.Is(cause, errEngine) {
		l.fail(cause)
		return cause
	}
	if !errors.Is(cause, ErrCorrupt) {
		return cause
	}
	l.mender.mu.Lock()
	defer l.mender.mu.Unlock()
	if _, _, known := l.gaps.at(offset); known || offset < gateway.Offset(l.first.Load()) {
		return nil
	}
	if _, err := l.readBlock(offset); err == nil {
		return nil
	}
	hole, block, contained, err := l.extent(offset)
	if err != nil {
		return err
	}
	if hole.To == 0 {
		return cause
	}
	if !l.looked && !l.o.ReadOnly && !contained {
		// The engine's own lists may be what is damaged, and events that are in the files be missing from them.
		err := fmt.Errorf("%w: behind offset %d: %w", errEngine, hole.From, cause)
		l.fail(err)
		return err
	}
	hole.Noticed = l.now().UTC()
	l.log.Error("the log is damaged: events are gone", "dir", l.o.Dir, "from", uint64(hole.From), "to", uint64(hole.To),
		"events", hole.Count(), "after", hole.Since, "before", hole.Until, "err", cause)
	if l.o.ReadOnly {
		return l.showHole(hole)
	}
	if block != 0 {
		l.setAside(block)
	}
	return l.lose(ctx, hole, block)
}

// extent finds from where to where nothing can be read at offset, and the key of the damaged block there, 0 if there is none.
// The hole is the zero gap if the block is right. contained: it is one block, with another behind it.
func (l *Log) extent(offset gateway.Offset) (hole gateway.Gap, block gateway.Offset, contained bool, err error) {
	hole = gateway.Gap{From: offset, Reason: gateway.LostDamage}
	var before header
	err = l.engine.blockBefore(offset, func(first gateway.Offset, b []byte) error {
		h, _, err := l.dec.decode(b)
		switch {
		case err != nil || h.first != first:
			hole.From, block = first, first
		case h.last() >= offset:
			hole = gateway.Gap{}
		default:
			hole.From, before = h.last()+1, h
		}
		return nil
	})
	if err != nil && !errors.Is(err, ErrNotFound) || hole.From == 0 {
		return gateway.Gap{}, 0, false, err
	}
	hole.From = max(hole.From, gateway.Offset(l.first.Load()))
	hole.To = l.durable()
	refs, err := l.engine.blocksFrom(offset+1, nil, 1)
	if err != nil {
		return gateway.Gap{}, 0, false, err
	}
	if len(refs) > 0 {
		hole.To = refs[0].first - 1
		hole.Until = l.receivedAt(refs[0].first)
	}
	if before.count > 0 {
		hole.Since = microseconds(before.wall)
	} else if block != 0 {
		hole.Since = l.receivedBefore(block)
	}
	return hole, block, block != 0 && len(refs) > 0 && hole.Count() <= maxBlockEvents, nil
}

// receivedBefore is about when the events of the block before the given one were received, zero if that is not known.
func (l *Log) receivedBefore(block gateway.Offset) (at time.Time) {
	_ = l.engine.blockBefore(block-1, func(_ gateway.Offset, b []byte) error {
		if h, err := parseHeader(b); err == nil {
			at = microseconds(h.wall)
		}
		return nil
	})
	return at
}

// lose has the writer write down that the events of the hole are damaged and forget the block, and waits until that is durable.
func (l *Log) lose(ctx context.Context, hole gateway.Gap, block gateway.Offset) error {
	var writes []write
	if block != 0 {
		writes = append(writes, write{key: blockKey(block)})
	}
	done, err := l.submitOwn([]gateway.Gap{hole}, writes)
	if err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// showHole makes a gap in a log that is only read: nothing is written down.
func (l *Log) showHole(hole gateway.Gap) error {
	l.gaps.stage(withGap(l.gaps.all(), hole))
	l.gaps.settle(true)
	return nil
}

// setAside keeps what is left of a block. It does not matter if that fails: nothing in it can be trusted.
func (l *Log) setAside(block gateway.Offset) {
	err := l.engine.get(blockKey(block), func(b []byte) error {
		if l.mender.folder == "" {
			dir, err := newQuarantine(filepath.Join(l.o.Dir, quarantineName))
			if err != nil {
				return err
			}
			l.mender.folder = dir
		}
		name := filepath.Join(l.mender.folder, fmt.Sprintf("block-%d", block))
		return os.WriteFile(name, b, 0o600)
	})
	if err != nil {
		l.log.Warn("the rest of a damaged block cannot be set aside", "dir", l.o.Dir, "offset", uint64(block), "err", err)
	}
}

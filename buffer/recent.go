package buffer

import (
	"errors"
	"fmt"

	"gateway"
)

// recentBlocks is how many of the newest blocks Recent looks at, and so how many trim keeps, whoever is past them.
const recentBlocks = 64

// Recent calls fn with the newest events, oldest first, and the mark that each was appended with (see gateway.Batch). It
// goes back some tens of commits, as far as they are still there. It is for a source that wants to know, after a restart,
// what it appended last. fn's error ends it and is returned.
func (l *Log) Recent(fn func(e *gateway.Entry, mark uint32) error) error {
	refs, err := l.engine.newestBlocks(gateway.Offset(l.first.Load()), recentBlocks)
	if err != nil {
		return fmt.Errorf("read the newest events: %w", err)
	}
	for i := len(refs) - 1; i >= 0; i-- {
		if err := l.recentBlock(refs[i].first, fn); err != nil {
			return err
		}
	}
	return nil
}

func (l *Log) recentBlock(first gateway.Offset, fn func(e *gateway.Entry, mark uint32) error) error {
	var entries []gateway.Entry
	var marks []uint32
	err := l.engine.get(blockKey(first), func(block []byte) (err error) {
		if _, entries, err = l.dec.decode(block); err != nil {
			return l.corrupt(first, err)
		}
		marks, err = l.dec.marks(block)
		return err
	})
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrCorrupt) {
		return nil // trimmed meanwhile, or damaged: its readers see to that
	}
	if err != nil {
		return fmt.Errorf("read the newest events: %w", err)
	}
	for i := range entries {
		mark := uint32(0)
		if i < len(marks) {
			mark = marks[i]
		}
		if err := fn(&entries[i], mark); err != nil {
			return err
		}
	}
	return nil
}

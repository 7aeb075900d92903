package buffer

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gateway"
)

// salvage puts blocks and records that were carved out of files into a store. A block that is there already stays, and so
// does a newer record.
type salvage struct {
	e      *engine
	head   gateway.Offset
	writes []write
	bytes  int
	blocks uint64 // put back
	events uint64
	lowest gateway.Offset // of the blocks put back
	read   uint64         // bytes
	tick   func(read uint64)
	stamps map[string]uint64 // of the records put back: what the store says of them is the number of our own transaction
}

// salvageBytes bounds one transaction.
const salvageBytes = 256 << 10

// dir searches every file of a folder.
func (s *salvage) dir(dir string, c carver) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() || e.Name() == reportName {
			continue
		}
		name := filepath.Join(dir, e.Name())
		n, err := carveFile(name, 0, c)
		s.read += uint64(n)
		if err != nil {
			return carveError(name, err)
		}
		if s.tick != nil {
			s.tick(s.read)
		}
	}
	return s.flush()
}

// errDropped says that the engine would drop tables that have something of their own. A table that was being made when the
// process ended has nothing but copies.
var errDropped = errors.New("the MANIFEST does not name tables that have events or values of their own")

// missed returns errDropped if a table among the pieces in dir has what the store does not have.
func (s *salvage) missed(dir string) error {
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return err
	}
	dropped := func(missing bool) error {
		if missing {
			return errDropped
		}
		return nil
	}
	for _, name := range tables {
		_, err := carveFile(name, 0, carver{
			block: func(h header, _ []byte, _ int64) error {
				err := s.e.get(blockKey(h.first), func([]byte) error { return nil })
				return dropped(h.last() >= s.head && errors.Is(err, ErrNotFound))
			},
			record: func(r record, _ int64) error {
				stamp, err := s.e.recordStamp(r.key)
				return dropped(err == nil && stamp < r.stamp)
			},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// put takes a block, if the store does not have it.
func (s *salvage) put(h header, block []byte, _ int64) error {
	if h.last() < s.head {
		return nil
	}
	err := s.e.get(blockKey(h.first), func(have []byte) error {
		old, err := parseHeader(have)
		if err == nil && (old.epoch > h.epoch || old.epoch == h.epoch && old.count >= h.count) {
			return errKeep
		}
		return nil
	})
	if errors.Is(err, errKeep) {
		return nil
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	s.blocks++
	s.events += uint64(h.count)
	if s.lowest == 0 || h.first < s.lowest {
		s.lowest = h.first
	}
	return s.add(write{blockKey(h.first), slices.Clone(block)})
}

// errKeep says that what the store has is better.
var errKeep = errors.New("keep")

// putRecord takes a record, if it is newer than the store's of its key. One that the store does not have was deleted, if it is not newer than after.
func (s *salvage) putRecord(r record, after uint64) error {
	stamp, err := s.e.recordStamp(r.key)
	ours, known := s.stamps[string(r.key)]
	switch {
	case known:
		stamp = ours
	case errors.Is(err, ErrNotFound):
		stamp = after
	case errors.Is(err, ErrCorrupt):
		stamp = 0
	case err != nil:
		return err
	}
	if r.stamp <= stamp {
		return nil
	}
	if s.stamps == nil {
		s.stamps = map[string]uint64{}
	}
	s.stamps[string(r.key)] = r.stamp
	return s.add(write{slices.Clone(r.key), append([]byte{}, r.value...)})
}

// add takes a write in. What does not go into the transaction with the others any more, such as a large block, goes into the next one: the
// engine refuses one that is too large.
func (s *salvage) add(w write) error {
	size := len(w.key) + len(w.value) + keyOverhead
	if s.bytes+size > salvageBytes || len(s.writes) == maxKeys/2 {
		if err := s.flush(); err != nil {
			return err
		}
	}
	s.writes = append(s.writes, w)
	s.bytes += size
	return nil
}

func (s *salvage) flush() error {
	if len(s.writes) == 0 {
		return nil
	}
	err := s.e.commit(s.writes)
	clear(s.writes)
	s.writes, s.bytes = s.writes[:0], 0
	return err
}

// holes finds where blocks are missing between from and end (without), and where they contradict each other: then the one of
// the older epoch goes. It reads every block from there on. Since and Until of a hole are the times of its neighbours.
type holes struct {
	from, end gateway.Offset
	missing   []gateway.Gap
	drop      []write
	blocks    uint64
	events    uint64
	bytes     uint64
	before    uint64 // bytes of all blocks written before the first of them
	last      header // of the newest block; its count is 0 if there is none
}

func (s *holes) find(e *engine) error {
	s.missing = nil
	next := s.from
	err := e.eachBlock(s.from, func(first gateway.Offset, block []byte) error {
		h, err := parseHeader(block)
		if err != nil || h.first != first || s.last.count > 0 && h.first <= s.last.last() && h.epoch <= s.last.epoch {
			s.drop = append(s.drop, write{key: blockKey(first)})
			return nil
		}
		if h.first > next {
			s.missing = append(s.missing, hole(next, h.first-1, &s.last, &h))
		}
		next = max(next, h.last()+1)
		if s.blocks == 0 {
			s.before = h.cumulative
		}
		s.blocks++
		s.events += uint64(h.count)
		s.bytes += uint64(len(block))
		s.last = h
		return nil
	})
	if next < s.end {
		s.missing = append(s.missing, hole(next, s.end-1, &s.last, nil))
	}
	return err
}

// hole is a gap between two blocks, either of which may be unknown.
func hole(from, to gateway.Offset, before, after *header) gateway.Gap {
	g := gateway.Gap{From: from, To: to, Reason: gateway.LostDamage}
	if before != nil && before.count > 0 {
		g.Since = microseconds(before.wall)
	}
	if after != nil {
		g.Until = microseconds(after.wall)
	}
	return g
}

func microseconds(us int64) time.Time { return time.UnixMicro(us).UTC() }

func parseGap(value []byte) (gateway.Gap, error) {
	var g gateway.Gap
	if err := json.Unmarshal(value, &g); err != nil || g.From == 0 || g.To < g.From {
		return g, fmt.Errorf("it is no gap: %q", value)
	}
	return g, nil
}

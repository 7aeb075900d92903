package buffer

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"sync"

	"gateway"
)

// gaps are the holes in the log that a cursor has not passed yet, in order and without overlap. They are records of the
// store, written in the transaction that makes the hole.
type gaps struct {
	mu   sync.Mutex
	list []gateway.Gap // guarded by mu; replaced as a whole, never changed in place
}

func gapKey(from gateway.Offset) []byte { return fmt.Appendf(nil, "%s%016x", metaGap, uint64(from)) }

func loadGaps(e *engine) ([]gateway.Gap, error) {
	var list []gateway.Gap
	err := e.each(metaGap, func(key string, value []byte) error {
		var g gateway.Gap
		if err := json.Unmarshal(value, &g); err != nil || g.From == 0 || g.To < g.From {
			return &RecordError{Key: metaGap + key, Err: fmt.Errorf("it is no gap: %q", value)}
		}
		list = append(list, g)
		return nil
	})
	return list, err
}

// all returns the gaps. The caller must not change them.
func (s *gaps) all() []gateway.Gap {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list
}

// set replaces the gaps. Only the writer does.
func (s *gaps) set(list []gateway.Gap) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = list
}

// at returns the gap that offset is in.
func (s *gaps) at(offset gateway.Offset) (gateway.Gap, bool) {
	list := s.all()
	i := sort.Search(len(list), func(i int) bool { return list[i].To >= offset })
	if i == len(list) || list[i].From > offset {
		return gateway.Gap{}, false
	}
	return list[i], true
}

// from returns the first gap that begins at or after offset.
func (s *gaps) from(offset gateway.Offset) (gateway.Gap, bool) {
	list := s.all()
	i := sort.Search(len(list), func(i int) bool { return list[i].From >= offset })
	if i == len(list) {
		return gateway.Gap{}, false
	}
	return list[i], true
}

// withGap returns list with g in its place, and the writes that make it durable. A gap that g continues, for the same
// reason, becomes one with it, so that a log that drops for months has one gap and not millions. What of g is in a gap
// already stays as it is.
func withGap(list []gateway.Gap, g gateway.Gap) ([]gateway.Gap, []write, error) {
	i := sort.Search(len(list), func(i int) bool { return list[i].From > g.From })
	if i > 0 && list[i-1].To >= g.From {
		g.From = list[i-1].To + 1
	}
	if i < len(list) && list[i].From <= g.To {
		g.To = list[i].From - 1
	}
	if g.From > g.To {
		return list, nil, nil
	}
	out := slices.Clone(list)
	if i > 0 && out[i-1].To+1 == g.From && out[i-1].Reason == g.Reason {
		i--
		g.From, g.Since = out[i].From, out[i].Since
		out[i] = g
	} else {
		out = slices.Insert(out, i, g)
	}
	value, err := json.Marshal(g)
	if err != nil {
		return list, nil, fmt.Errorf("write gap %d-%d: %w", g.From, g.To, err)
	}
	return out, []write{{gapKey(g.From), value}}, nil
}

// withoutPassed returns list without the gaps that end at or before passed: everybody has met them. The writes forget them.
func withoutPassed(list []gateway.Gap, passed gateway.Offset) ([]gateway.Gap, []write) {
	n := sort.Search(len(list), func(i int) bool { return list[i].To > passed })
	var writes []write
	for _, g := range list[:n] {
		writes = append(writes, write{key: gapKey(g.From)})
	}
	return list[n:], writes
}

package buffer

import (
	"encoding/json"
	"fmt"
	"sort"
	"sync"
	"time"

	"gateway"
)

// gaps are the holes in the log that a cursor has not passed yet, in order and without overlap. They are records of the
// store, written in the transaction that makes the hole.
type gaps struct {
	mu      sync.Mutex
	list    []gateway.Gap // guarded by mu, as what follows; replaced as a whole, never changed in place
	before  []gateway.Gap // the list that is durable, while pending
	pending chan struct{} // closed when the list is durable, or taken back; nil while it is
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

// stage shows the list that a transaction is about to make durable: no later than the blocks go, the gap is there. Who
// wants to say that events are lost waits until it is true. Only the writer does this.
func (s *gaps) stage(list []gateway.Gap) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before, s.list, s.pending = s.list, list, make(chan struct{})
}

// settle ends what stage began: the transaction was committed, or it failed.
func (s *gaps) settle(committed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending == nil {
		return
	}
	if !committed {
		s.list = s.before
	}
	close(s.pending)
	s.before, s.pending = nil, nil
}

// at returns the gap that offset is in; and if it is not certain yet, what to wait for before asking again.
func (s *gaps) at(offset gateway.Offset) (g gateway.Gap, pending <-chan struct{}, ok bool) {
	s.mu.Lock()
	list, pending := s.list, s.pending
	s.mu.Unlock()
	i := sort.Search(len(list), func(i int) bool { return list[i].To >= offset })
	if i == len(list) || list[i].From > offset {
		return gateway.Gap{}, nil, false
	}
	return list[i], pending, true
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

// withGap returns list with g in its place. A gap that g continues, for the same reason, becomes one with it, so that a log
// that drops for months has one gap and not millions. What of g is in a gap already stays as it is; the rest fills the holes
// between them.
func withGap(list []gateway.Gap, g gateway.Gap) []gateway.Gap {
	out := make([]gateway.Gap, 0, len(list)+1)
	rest := g
	for _, old := range list {
		if old.To >= g.From && rest.From <= rest.To {
			if piece := rest; old.From > rest.From {
				piece.To = min(rest.To, old.From-1)
				out = join(out, piece)
			}
			rest.From = max(rest.From, old.To+1)
		}
		out = join(out, old)
	}
	if rest.From <= rest.To {
		out = join(out, rest)
	}
	return out
}

// join appends g, which lies behind the others, or makes it one with the last of them.
func join(list []gateway.Gap, g gateway.Gap) []gateway.Gap {
	n := len(list) - 1
	if n < 0 || list[n].To+1 != g.From || list[n].Reason != g.Reason {
		return append(list, g)
	}
	list[n].To = g.To
	list[n].Until = g.Until
	if g.Noticed.After(list[n].Noticed) {
		list[n].Noticed = g.Noticed
	}
	return list
}

// withoutPassed returns list without the gaps that end at or before passed: everybody has met them.
func withoutPassed(list []gateway.Gap, passed gateway.Offset) []gateway.Gap {
	n := sort.Search(len(list), func(i int) bool { return list[i].To > passed })
	return list[n:]
}

// gapChanges are the writes that make after of before.
func gapChanges(before, after []gateway.Gap) ([]write, error) {
	var writes []write
	old := make(map[gateway.Offset]gateway.Gap, len(before))
	for _, g := range before {
		old[g.From] = g
	}
	for _, g := range after {
		was, known := old[g.From]
		delete(old, g.From)
		if known && was.To == g.To && was.Reason == g.Reason {
			continue
		}
		value, err := json.Marshal(g)
		if err != nil { // a time that JSON has no form for
			g.Since, g.Until, g.Noticed = time.Time{}, time.Time{}, time.Time{}
			if value, err = json.Marshal(g); err != nil {
				return nil, fmt.Errorf("write gap %d-%d: %w", g.From, g.To, err)
			}
		}
		writes = append(writes, write{gapKey(g.From), value})
	}
	for from := range old {
		writes = append(writes, write{key: gapKey(from)})
	}
	return writes, nil
}

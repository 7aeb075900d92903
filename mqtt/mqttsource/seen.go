package mqttsource

import (
	"crypto/sha256"

	"gateway"
)

// key stands for the identity of an event, which is its source and its ID (CloudEvents 1.0, "id"). It is short, because
// many are kept, and no two events are ever found to have the same one.
type key [16]byte

func keyOf(e *gateway.Event) key {
	sum := sha256.Sum256([]byte(e.Source + "\x00" + e.ID))
	return key(sum[:16])
}

// seen are the identities of the newest events that are stored. It belongs to one goroutine.
type seen struct {
	limit int
	ring  []key // the oldest is at next, once it is full
	next  int
	has   map[key]struct{}
}

func newSeen(limit int) *seen { return &seen{limit: limit, has: map[key]struct{}{}} }

func (s *seen) contains(k key) bool {
	_, ok := s.has[k]
	return ok
}

// add remembers k, and forgets the oldest if there are too many.
func (s *seen) add(k key) {
	if s.limit == 0 || s.contains(k) {
		return
	}
	s.has[k] = struct{}{}
	if len(s.ring) < s.limit {
		s.ring = append(s.ring, k)
		return
	}
	delete(s.has, s.ring[s.next])
	s.ring[s.next] = k
	s.next = (s.next + 1) % s.limit
}

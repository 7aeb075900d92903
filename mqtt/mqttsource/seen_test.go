package mqttsource

import (
	"strconv"
	"testing"

	"gateway"
)

func TestSeenForgetsTheOldest(t *testing.T) {
	t.Parallel()
	s := newSeen(3)
	id := func(n int) key { return keyOf(&gateway.Event{Source: "s", ID: strconv.Itoa(n)}) }
	for n := range 10 {
		s.add(id(n))
		s.add(id(n))
	}
	for n := range 10 {
		if got, want := s.contains(id(n)), n >= 7; got != want {
			t.Errorf("%d: got seen %v, want %v", n, got, want)
		}
	}
	if len(s.has) != 3 || len(s.ring) != 3 {
		t.Errorf("got %d and %d kept, want 3", len(s.has), len(s.ring))
	}
	if keyOf(&gateway.Event{Source: "a", ID: "bc"}) == keyOf(&gateway.Event{Source: "ab", ID: "c"}) {
		t.Error("two events have the same key")
	}
}

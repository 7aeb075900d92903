package main

import (
	"testing"
	"time"
)

// at makes samples a second apart of what was carried in each second.
func at(perSecond ...int64) (samples []carried) {
	now, sum := time.Unix(100, 0), int64(0)
	samples = append(samples, carried{now, 0})
	for _, n := range perSecond {
		now, sum = now.Add(time.Second), sum+n
		samples = append(samples, carried{now, sum})
	}
	return samples
}

func TestExtremesFindEveryStretch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		samples     []carried
		least, most float64
	}{
		{"steady", at(100, 100, 100, 100), 100, 100},
		{"a burst in the middle", at(100, 200, 200, 100), 150, 200},
		{"a burst and a pause", at(0, 200, 0, 0), 0, 100},
		{"too short for a stretch", at(100), 0, 0},
	} {
		if least, most := extremes(c.samples, 2*time.Second); least != c.least || most != c.most {
			t.Errorf("%s: got %v to %v, want %v to %v", c.name, least, most, c.least, c.most)
		}
	}
}

func TestStampsTakeTheNinetyNinth(t *testing.T) {
	t.Parallel()
	const count = 200
	s := &stamps{sent: make([]time.Time, count), arrived: make([]time.Time, count), missing: count}
	for seq := range uint64(count) {
		s.sentNow(seq)
		took := time.Millisecond
		if seq < 3 { // the slowest one and a half of a hundred
			took = time.Hour
		}
		s.arrivedAt(seq, s.sent[seq].Add(took))
		s.arrivedAt(seq, s.sent[seq].Add(2*time.Hour)) // a repeat does not count
	}
	if got, err := s.p99(t.Context()); err != nil || got != time.Hour {
		t.Errorf("got %s and %v, want an hour", got, err)
	}
}

func TestMemoryGivesEventsInOrder(t *testing.T) {
	t.Parallel()
	m := fillMemory(5)
	got := m.batch(nil, 3, 5)
	if len(got) != 2 || got[0].Event.ID == got[1].Event.ID || string(got[1].Event.Data[:23]) != `{"id":"0000-0000000004"` {
		t.Errorf("got %d events, the last one %+v", len(got), got[len(got)-1].Event)
	}
	if err := got[0].Event.Validate(); err != nil {
		t.Error(err)
	}
}

package main

import (
	"testing"
	"time"
)

func TestDebounced(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for _, c := range []struct {
		held        []time.Duration
		least, most int
	}{
		{nil, 1, 1},
		{[]time.Duration{ms, ms}, 1, 1}, // bounces, and stays on
		{[]time.Duration{ms, ms, 400 * ms, ms, ms}, 2, 2},       // on, and off
		{[]time.Duration{100 * ms, ms, 400 * ms, ms, ms}, 2, 2}, // the machine stood still where it changes nothing
		{[]time.Duration{ms, 100 * ms, 400 * ms}, 2, 2},         // off was what it was before
		{[]time.Duration{400 * ms, 100 * ms, 400 * ms}, 4, 4},   // a bounce that held is one
		{[]time.Duration{400 * ms, 40 * ms, 400 * ms}, 2, 4},    // maybe
	} {
		if least, most := debounced(c.held, 40*ms); least != c.least || most != c.most {
			t.Errorf("%v: got %d to %d, want %d to %d", c.held, least, most, c.least, c.most)
		}
	}
}

package devices

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gateway/devices/gpiochip"
)

// TestDebouncingDoesNotDependOnWhenItIsLookedAt compares the debouncer, looked at at any times, with what its edges mean.
func TestDebouncingDoesNotDependOnWhenItIsLookedAt(t *testing.T) {
	t.Parallel()
	const hold = 10
	rapid.Check(t, func(t *rapid.T) {
		gaps := rapid.SliceOfN(rapid.IntRange(1, 2*hold), 1, 50).Draw(t, "gaps")
		looks := rapid.SliceOfN(rapid.IntRange(0, 3), len(gaps), len(gaps)).Draw(t, "looks")
		var edges []gpiochip.Event
		now := time.Duration(0)
		for i, gap := range gaps {
			now += time.Duration(gap)
			edges = append(edges, gpiochip.Event{Rising: i%2 == 0, At: now, Sequence: uint32(i + 1)})
		}
		var want []gpiochip.Event
		on := false
		for i, e := range edges {
			held := i == len(edges)-1 || edges[i+1].At-e.At >= hold
			if held && e.Rising != on {
				on = e.Rising
				e.At += hold
				want = append(want, e)
			}
		}
		var got []gpiochip.Event
		take := func(e gpiochip.Event, ok bool) {
			if ok {
				got = append(got, e)
			}
		}
		d := debouncer{hold: hold}
		for i, e := range edges {
			take(d.next(e))
			for n := range looks[i] {
				at := e.At + time.Duration(n*7)
				if i < len(edges)-1 && at > edges[i+1].At {
					break
				}
				take(d.settle(at))
			}
		}
		take(d.settle(now + hold))
		if !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v, of %v", got, want, edges)
		}
	})
}

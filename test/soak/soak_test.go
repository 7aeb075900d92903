package main

import (
	"math"
	"strings"
	"testing"
	"time"

	"gateway"
	"gateway/internal/load"
)

// reading is the entry of producer 0's event with the given sequence.
func reading(t *testing.T, offset gateway.Offset, seq uint64) gateway.Entry {
	t.Helper()
	data := load.NewReadings(0, producers, 20, 128, 1).Append(nil, seq, 1)
	return gateway.Entry{Offset: offset, Event: gateway.Event{Data: data}}
}

func gap(t *testing.T, from, to gateway.Offset) gateway.Entry {
	t.Helper()
	e, err := gateway.Gap{From: from, To: to, Reason: gateway.LostFull}.Entry("log", 1, "soak")
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestCheckerCanTell: what it is there to find is found.
func TestCheckerCanTell(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		entries []gateway.Entry
		acked   uint64
		want    string // "" for no error
	}{
		"all":                           {[]gateway.Entry{reading(t, 1, 0), reading(t, 2, 1)}, 2, ""},
		"a gap":                         {[]gateway.Entry{reading(t, 1, 0), gap(t, 2, 4), reading(t, 5, 4)}, 5, ""},
		"a gap at the end":              {[]gateway.Entry{reading(t, 1, 0), gap(t, 2, 4)}, 4, ""},
		"a hole without a gap":          {[]gateway.Entry{reading(t, 1, 0), reading(t, 3, 2)}, 3, "want 2"},
		"an event twice":                {[]gateway.Entry{reading(t, 1, 0), reading(t, 2, 0)}, 2, "want 1 or more"},
		"another event in its place":    {[]gateway.Entry{reading(t, 1, 0), reading(t, 2, 2)}, 2, "it was acknowledged"},
		"an offset twice":               {[]gateway.Entry{reading(t, 1, 0), reading(t, 1, 1)}, 2, "want 2"},
		"a gap that begins too late":    {[]gateway.Entry{reading(t, 1, 0), gap(t, 3, 4)}, 4, "begin at 2"},
		"a gap that begins too early":   {[]gateway.Entry{reading(t, 1, 0), gap(t, 1, 4)}, 4, "begin at 2"},
		"a gap over what is not lost":   {[]gateway.Entry{reading(t, 1, 0), gap(t, 2, 4), reading(t, 5, 1)}, 2, "want 2 together"},
		"the end is missing":            {[]gateway.Entry{reading(t, 1, 0)}, 2, "want 2 together"},
		"what was never acknowledged":   {[]gateway.Entry{reading(t, 1, 0), reading(t, 2, 1)}, 1, "it was acknowledged 1"},
		"what none of us has published": {[]gateway.Entry{{Offset: 1, Event: gateway.Event{Data: []byte("?")}}}, 1, "identity"},
	} {
		check := checker{next: 1}
		err := check.take(c.entries)
		if err == nil {
			err = check.finish([producers]uint64{c.acked})
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
}

func TestHistogramQuantiles(t *testing.T) {
	t.Parallel()
	var h histogram
	for i := 1; i <= 10_000; i++ {
		h.add(time.Duration(i) * time.Microsecond)
	}
	for _, q := range []float64{0.01, 0.5, 0.99, 0.999} {
		got, want := h.quantile(q).Seconds(), q*0.01
		if math.Abs(got-want) > 0.04*want {
			t.Errorf("quantile %v: got %v s, want %v s", q, got, want)
		}
	}
	if got := (&histogram{}).quantile(0.99); got != 0 {
		t.Errorf("of nothing: got %v", got)
	}
	for _, d := range []time.Duration{0, 1, 31, 32, 33, 63, 64, 65, time.Second, time.Hour, math.MaxInt64} {
		if u := upper(bucketOf(uint64(d))); u < d || float64(u-d) > 0.04*float64(d) {
			t.Errorf("%d falls into a bucket that ends at %d", d, u)
		}
	}
}

func TestWaitingLeavesOutWhatWasDropped(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		first, last gateway.Offset
		settled     uint64
		want        uint64
	}{{1, 0, 0, 0}, {1, 10, 0, 10}, {1, 10, 10, 0}, {6, 10, 0, 5}, {6, 10, 7, 3}, {11, 10, 10, 0}} {
		if got := waiting(gateway.LogStatus{First: c.first, Last: c.last}, c.settled); got != c.want {
			t.Errorf("%+v: got %d", c, got)
		}
	}
}

package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 3, 2}, 2.5}} {
		in := slices.Clone(c.in)
		if got := median(c.in); got != c.want {
			t.Errorf("median of %v: got %v, want %v", in, got, c.want)
		}
		if !slices.Equal(in, c.in) {
			t.Errorf("median sorted its argument: %v", c.in)
		}
	}
}

func TestCompareJudges(t *testing.T) {
	t.Parallel()
	at := func(rates ...float64) (s []sample) {
		for _, r := range rates {
			x := sample{cpu: time.Second}
			x.PerSecond, x.Sent = r, 1000
			s = append(s, x)
		}
		return s
	}
	for _, c := range []struct {
		ours, peer []sample
		want       string
	}{
		{at(300, 310, 1), at(100, 100, 900), met},
		{at(299, 299, 900), at(100, 100, 1), missed},
		{at(300), nil, "not measured"},
	} {
		got := compare("x", c.ours, c.peer, "peer", 3)
		if got.verdict != c.want {
			t.Errorf("%v against %v: got %q, want %q", rates(c.ours), rates(c.peer), got.verdict, c.want)
		}
	}
}

func TestSelectRows(t *testing.T) {
	t.Parallel()
	if got, err := selectRows(""); err != nil || len(got) != len(rows()) {
		t.Errorf("no names: got %d rows and %v, want all", len(got), err)
	}
	if got, err := selectRows("1x1,size"); err != nil || len(got) != 2 || got[0].name != "1x1" || got[1].name != "size" {
		t.Errorf("1x1,size: got %v and %v", got, err)
	}
	if _, err := selectRows("2x2"); err == nil || !strings.Contains(err.Error(), "10x50") {
		t.Errorf("2x2: got %v, want an error that names the rows", err)
	}
}

func TestFilesystemOfProcIsProc(t *testing.T) {
	t.Parallel()
	if got := filesystem("/proc/self"); got != "proc" {
		t.Errorf("got %q, want proc", got)
	}
}

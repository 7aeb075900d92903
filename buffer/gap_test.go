package buffer

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"gateway"
)

func gap(from, to gateway.Offset, reason string) gateway.Gap {
	return gateway.Gap{From: from, To: to, Reason: reason}
}

func TestWithGap(t *testing.T) {
	t.Parallel()
	const f, a = gateway.LostFull, gateway.LostAge
	for _, c := range []struct {
		name string
		list []gateway.Gap
		add  gateway.Gap
		want []gateway.Gap
	}{
		{"first", nil, gap(3, 5, f), []gateway.Gap{gap(3, 5, f)}},
		{"continues", []gateway.Gap{gap(3, 5, f)}, gap(6, 9, f), []gateway.Gap{gap(3, 9, f)}},
		{"another reason", []gateway.Gap{gap(3, 5, f)}, gap(6, 9, a), []gateway.Gap{gap(3, 5, f), gap(6, 9, a)}},
		{"apart", []gateway.Gap{gap(3, 5, f)}, gap(7, 9, f), []gateway.Gap{gap(3, 5, f), gap(7, 9, f)}},
		{"before", []gateway.Gap{gap(7, 9, f)}, gap(3, 4, f), []gateway.Gap{gap(3, 4, f), gap(7, 9, f)}},
		{"inside", []gateway.Gap{gap(3, 9, f)}, gap(4, 5, a), []gateway.Gap{gap(3, 9, f)}},
		{"overlaps the end", []gateway.Gap{gap(3, 5, f)}, gap(4, 9, a), []gateway.Gap{gap(3, 5, f), gap(6, 9, a)}},
		{"spans two", []gateway.Gap{gap(3, 4, a), gap(7, 8, a)}, gap(1, 10, f),
			[]gateway.Gap{gap(1, 2, f), gap(3, 4, a), gap(5, 6, f), gap(7, 8, a), gap(9, 10, f)}},
		{"fills and joins", []gateway.Gap{gap(3, 4, f), gap(7, 8, f)}, gap(1, 10, f), []gateway.Gap{gap(1, 10, f)}},
	} {
		before := slices.Clone(c.list)
		if got := withGap(c.list, c.add); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
		if !slices.Equal(before, c.list) {
			t.Errorf("%s: the list was changed in place", c.name)
		}
	}
}

// TestWithGapIsASet adds random gaps and compares with a set of offsets; the changes lead from one list to the next.
func TestWithGapIsASet(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		var list []gateway.Gap
		reasons := map[gateway.Offset]string{}
		stored := map[string]gateway.Gap{}
		for range 20 {
			from := gateway.Offset(1 + rng.IntN(60))
			g := gap(from, from+gateway.Offset(rng.IntN(20)), []string{gateway.LostFull, gateway.LostAge}[rng.IntN(2)])
			for at := g.From; at <= g.To; at++ {
				if reasons[at] == "" {
					reasons[at] = g.Reason
				}
			}
			after := withGap(list, g)
			writes, err := gapChanges(list, after)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range writes {
				delete(stored, string(w.key))
				if w.value != nil {
					var g gateway.Gap
					if err := json.Unmarshal(w.value, &g); err != nil {
						t.Fatal(err)
					}
					stored[string(w.key)] = g
				}
			}
			list = after
			for at := gateway.Offset(1); at < 90; at++ {
				s := gaps{list: list}
				got, _, ok := s.at(at)
				if ok != (reasons[at] != "") || got.Reason != reasons[at] {
					t.Fatalf("offset %d: got %v, want %q in %v", at, got, reasons[at], list)
				}
			}
			if len(stored) != len(list) {
				t.Fatalf("%d gaps are stored, want %v", len(stored), list)
			}
			for _, g := range list {
				if stored[string(gapKey(g.From))] != g {
					t.Fatalf("got %v stored, want %v", stored[string(gapKey(g.From))], g)
				}
			}
		}
	}
}

// dropping is a log of the smallest size that dropped its oldest events, all before a cursor.
func dropping(t *testing.T, o Options) (*Log, gateway.LogStatus) {
	t.Helper()
	o.MaxSize, o.DropOldest = MinMaxSize, true
	l := openLog(t, o)
	settle(t, l, "slow", 0)
	settle(t, l, "fast", 0)
	f := newFiller(l)
	for range 300 { // 60 MB
		if err := f.append(t); err != nil {
			t.Fatal(err)
		}
	}
	if f.max > MinMaxSize {
		t.Errorf("the directory took %s, want %s at most", mib(f.max), mib(MinMaxSize))
	}
	return l, l.Status()
}

// TestSpaceIsGivenBackByDroppingTheOldest: intake goes on at the bound, the directory stays within it, and what was dropped is
// one gap, a counter and a log line; it survives a restart, and is forgotten when every cursor is past it.
func TestSpaceIsGivenBackByDroppingTheOldest(t *testing.T) {
	t.Parallel()
	var out syncBuffer
	dir := t.TempDir()
	o := Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&out, nil))}
	l, s := dropping(t, o)
	if s.First < 100 || len(s.Gaps) != 1 || s.Gaps[0].From != 1 || s.Gaps[0].To != s.First-1 || s.Gaps[0].Reason != gateway.LostFull {
		t.Fatalf("got first %d and gaps %v, want one gap up to the first event", s.First, s.Gaps)
	}
	if s.Lost[gateway.LostFull] != uint64(s.First-1) || s.Trimmed != 0 {
		t.Errorf("got %v lost and %d trimmed, want %d and 0", s.Lost, s.Trimmed, s.First-1)
	}
	if g := s.Gaps[0]; g.Since.IsZero() || g.Until.Before(g.Since) || g.Noticed.Before(g.Until) {
		t.Errorf("got gap %+v: its times are wrong", g)
	}
	waitFor(t, "a line", func() bool { return out.count("log is full: the oldest events were dropped") == 1 })
	closeLog(t, l)
	if n := out.count("the oldest events were dropped"); n > 2 {
		t.Errorf("%d lines about one loss, want the first and the last", n)
	}
	l = openLog(t, Options{Dir: dir, MaxSize: MinMaxSize, DropOldest: true})
	if got := l.Status().Gaps; len(got) != 1 || got[0].From != 1 || got[0].To != s.First-1 {
		t.Fatalf("got gaps %v after reopening, want %v", got, s.Gaps)
	}
	settle(t, l, "slow", s.First)
	if got := l.Status().Gaps; len(got) != 1 {
		t.Errorf("got gaps %v with a cursor before them", got)
	}
	settle(t, l, "fast", s.First)
	settle(t, l, "fast", s.First+1)
	if got := l.Status().Gaps; len(got) != 0 {
		t.Errorf("got gaps %v, want none behind all cursors", got)
	}
	closeLog(t, l)
	l = openLog(t, Options{Dir: dir, MaxSize: MinMaxSize})
	if got := l.Status().Gaps; len(got) != 0 {
		t.Errorf("got gaps %v after reopening", got)
	}
}

// TestReaderMeetsTheGap: from before it, from its middle, and from behind it.
func TestReaderMeetsTheGap(t *testing.T) {
	t.Parallel()
	l, s := dropping(t, Options{})
	for _, c := range []struct{ after, from gateway.Offset }{{0, 1}, {15, 16}, {s.First - 2, s.First - 1}} {
		got := readTo(t, l, c.after, s.First+5)
		var g gateway.Gap
		if err := json.Unmarshal(got[0].Event.Data, &g); err != nil || got[0].Event.Type != gateway.TypeGap {
			t.Fatalf("after %d: got %+v, %v, want a gap", c.after, got[0], err)
		}
		if g.From != c.from || g.To != s.First-1 || got[0].Offset != g.To || got[1].Offset != s.First {
			t.Errorf("after %d: got gap %+v at %d and then %d, want %d to %d", c.after, g, got[0].Offset, got[1].Offset, c.from, s.First-1)
		}
		if err := got[0].Event.Validate(); err != nil {
			t.Error(err)
		}
	}
	if got := readTo(t, l, s.First-1, s.First+5); got[0].Offset != s.First || got[0].Event.Type == gateway.TypeGap {
		t.Errorf("behind the gap: got %+v", got[0])
	}
}

// TestReadersUnderDropping reads with several readers while the oldest are dropped under them: each sees every offset once, as an
// event or in a gap, and no damage.
func TestReadersUnderDropping(t *testing.T) {
	t.Parallel()
	l := openLog(t, Options{MaxSize: MinMaxSize, DropOldest: true})
	settle(t, l, "up", 0)
	const batches = 400
	results := make(chan error, 3)
	for i := range 3 {
		go func() { results <- readAll(t.Context(), l, batches*10, time.Duration(i)*3*time.Millisecond) }()
	}
	f := newFiller(l)
	for range batches {
		for errors.Is(f.append(t), gateway.ErrFull) {
			waitFor(t, "room", func() bool { return !l.Status().Full })
		}
	}
	for range 3 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func readAll(ctx context.Context, l *Log, last gateway.Offset, pause time.Duration) error {
	r := l.NewReader(0)
	defer r.Close()
	for at := gateway.Offset(0); at < last; {
		entries, err := r.Next(ctx, 10)
		if err != nil {
			return err
		}
		for _, e := range entries {
			from := e.Offset
			if e.Event.Type == gateway.TypeGap {
				var g gateway.Gap
				if err := json.Unmarshal(e.Event.Data, &g); err != nil {
					return err
				}
				from = g.From
			}
			if from != at+1 {
				return errors.New("an offset is missing, or there twice: " + e.Event.ID)
			}
			at = e.Offset
		}
		if pause > 0 {
			<-time.After(pause)
		}
	}
	return nil
}

// TestGapIsNotSaidBeforeItIsTrue holds the transaction back that drops: a reader waits; if it fails, there is no gap.
func TestGapIsNotSaidBeforeItIsTrue(t *testing.T) {
	t.Parallel()
	s := gaps{list: []gateway.Gap{gap(1, 2, gateway.LostFull)}}
	s.stage([]gateway.Gap{gap(1, 9, gateway.LostFull)})
	g, pending, ok := s.at(5)
	if !ok || pending == nil || g.To != 9 {
		t.Fatalf("got %v, %v, want the gap, pending", g, ok)
	}
	s.settle(false)
	<-pending
	if _, _, ok := s.at(5); ok {
		t.Error("a gap whose transaction failed is there")
	}
	s.stage([]gateway.Gap{gap(1, 9, gateway.LostFull)})
	s.settle(true)
	if _, pending, ok := s.at(5); !ok || pending != nil {
		t.Error("a gap that is durable is not there")
	}
}

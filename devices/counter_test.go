package devices

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"gateway"
	"gateway/devices/gpiochip"
)

func counterSpec() Spec {
	return Spec{
		Name: "water", Type: TypeCounter, Pin: "GPIO27", Pull: PullUp, Edges: EdgesRising, Interval: time.Minute, Quantity: "volume", Unit: "m3", PerPulse: 0.01,
	}
}

// counts is what a counter did in a log: each of its events, checked to add up.
type counts struct {
	events []gateway.Event
	total  uint64
	missed uint64 // overruns told
}

// add checks that each total is the one before and what came since.
func (c *counts) add(t *testing.T, events []gateway.Event) {
	t.Helper()
	for _, e := range events {
		m := fields(t, e)
		n := func(name string) uint64 { v, _ := m[name].(float64); return uint64(v) }
		switch e.Type {
		case EventCount:
			c.total += n("count")
			if n("total") != c.total {
				t.Errorf("got the total %v, want %d and what came since: %s", n("total"), c.total, e.Data)
			}
			if n("total_unseen") > n("total") || n("unseen") > n("count") {
				t.Errorf("more was unseen than there was: %s", e.Data)
			}
		case EventGap:
			if c.total += n("recovered"); m["reason"] != "fault" && n("total") != c.total {
				t.Errorf("got the total %v, want %d: %s", n("total"), c.total, e.Data)
			}
		case EventOverrun:
			c.missed += n("counted")
		}
		c.events = append(c.events, e)
	}
}

// of are the data of the events of a type.
func (c *counts) of(t *testing.T, kind string) (all []map[string]any) {
	t.Helper()
	for _, e := range c.events {
		if e.Type == kind {
			all = append(all, fields(t, e))
		}
	}
	return all
}

func startCounter(t *testing.T, spec Spec, k *fakeKernel, log *slowLog, runtime string) (Device, func()) {
	t.Helper()
	d, err := NewCounter(spec, k, Counting{Log: log, LogID: "log", Runtime: runtime}, testCommon())
	if err != nil {
		t.Fatal(err)
	}
	stop := running(t, d, log)
	synctest.Wait()
	return d, stop
}

func pulses(k *fakeKernel, n int, every time.Duration) {
	for range n {
		k.set(true)
		after(every / 2)
		k.set(false)
		after(every - every/2)
	}
}

func TestCounterCountsEachInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k, log, all := newFakeKernel(), &slowLog{}, &counts{}
		d, stop := startCounter(t, counterSpec(), k, log, "")
		began := time.Now()
		pulses(k, 40, 5*time.Second)
		stop()
		all.add(t, log.taken())
		var got []float64
		for i, m := range all.of(t, EventCount) {
			got = append(got, m["count"].(float64))
			if m["unit"] != "m3" || m["quantity"] != "volume" || m["value"] != m["total"].(float64)/100 {
				t.Errorf("count %d: got %v", i, m)
			}
			if rate, ok := m["rate"]; ok != (i > 0) || ok && (math.Abs(rate.(float64)-7.2) > 1e-9 || m["rate_unit"] != "m3/h") {
				t.Errorf("count %d: got the rate %v %v, want 7.2 m3/h: a pulse in 5 s", i, rate, m["rate_unit"])
			}
		}
		if !slices.Equal(got, []float64{0, 12, 12, 12, 4}) || all.total != 40 {
			t.Errorf("got the counts %v, want 12 in each minute", got)
		}
		for i, e := range all.events[1:4] {
			if want := began.Add(time.Duration(i+1) * time.Minute); !e.Time.Equal(want) {
				t.Errorf("count %d is of %v, want %v", i+1, e.Time, want)
			}
		}
		if s := d.Status(); s.Value != "0.4 m3, 7.2 m3/h" || s.Reads != 40 {
			t.Errorf("got the status %+v", s)
		}

		// A stop loses nothing, and the next start says for how long nobody watched.
		after(time.Hour)
		_, stop = startCounter(t, counterSpec(), k, log, "")
		pulses(k, 3, time.Second)
		stop()
		all.add(t, log.taken())
		gap := all.of(t, EventGap)
		if len(gap) != 1 || gap[0]["reason"] != "restart" || gap[0]["lasted_ns"] != float64(time.Hour) || gap[0]["clean"] != true || all.total != 43 {
			t.Errorf("got the gap %v and the total %d", gap, all.total)
		}
	})
}

func TestCounterWithoutRuntimeLosesAnIntervalToAKill(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k, log, all := newFakeKernel(), &slowLog{}, &counts{}
		_, stop := startCounter(t, counterSpec(), k, log, "")
		after(time.Minute)
		at := time.Now()
		pulses(k, 30, time.Second)
		events, kv := log.taken(), map[string][]byte{}
		for key, value := range log.kv {
			kv[key] = value
		}
		stop()
		log.taken()
		log.kv = kv // what was durable when it was killed
		all.add(t, events)
		_, stop = startCounter(t, counterSpec(), k, log, "")
		pulses(k, 5, time.Second)
		stop()
		all.add(t, log.taken())
		gap := all.of(t, EventGap)
		if len(gap) != 1 || gap[0]["from"] != timeText(at) || gap[0]["to"] != timeText(at.Add(30*time.Second)) || gap[0]["clean"] != nil || all.total != 5 {
			t.Errorf("got the gap %v and the total %d, want one from %v", gap, all.total, at)
		}
	})
}

func TestCounterGoesOnWhileTheLogIsFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k, log, all := newFakeKernel(), &slowLog{}, &counts{}
		_, stop := startCounter(t, counterSpec(), k, log, "")
		log.set(func(l *slowLog) { l.full = true })
		pulses(k, 5000, 100*time.Millisecond)
		log.set(func(l *slowLog) { l.full = false })
		after(2 * time.Second)
		all.add(t, log.taken())
		stop()
		if c := all.of(t, EventCount); len(c) != 2 || c[1]["count"] != 5000.0 {
			t.Errorf("got %v", c)
		}
	})
}

func TestCounterTellsFaultsAndTheirGaps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k, log, all := newFakeKernel(), &slowLog{}, &counts{}
		_, stop := startCounter(t, counterSpec(), k, log, "")
		pulses(k, 5, time.Second)
		at := time.Now()
		k.unplug(gpiochip.ErrGone)
		synctest.Wait()
		pulses(k, 7, time.Second)
		k.plug()
		after(reopenMax)
		pulses(k, 2, time.Second)
		stop()
		all.add(t, log.taken())
		gap := all.of(t, EventGap)
		if len(gap) != 1 || gap[0]["reason"] != "fault" || gap[0]["from"] != timeText(at) || gap[0]["total"] != 5.0 || all.total != 7 {
			t.Errorf("got the gap %v and the total %d", gap, all.total)
		}
		if len(all.of(t, EventFault)) != 1 || len(all.of(t, EventRecovered)) != 1 {
			t.Errorf("got %d faults, %d recoveries", len(all.of(t, EventFault)), len(all.of(t, EventRecovered)))
		}
	})
}

// TestCounterCountsWhatTheKernelLost stalls the reader, so that the kernel has to throw edges away.
func TestCounterCountsWhatTheKernelLost(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		bursts := rapid.SliceOfN(rapid.IntRange(0, 3000), 1, 5).Draw(rt, "pulses")
		full := rapid.SliceOfN(rapid.Bool(), len(bursts), len(bursts)).Draw(rt, "full")
		synctest.Test(t, func(t *testing.T) {
			k, log, all := newFakeKernel(), &slowLog{}, &counts{}
			d, stop := startCounter(t, counterSpec(), k, log, "")
			var produced uint64
			for i, n := range bursts {
				log.set(func(l *slowLog) { l.full = full[i] })
				func() {
					d.(*counter).tally.mu.Lock() // the reader waits
					defer d.(*counter).tally.mu.Unlock()
					for range n {
						k.set(true)
						k.set(false)
					}
				}()
				produced += uint64(n)
				after(5 * time.Second)
			}
			log.set(func(l *slowLog) { l.full = false })
			stop()
			all.add(t, log.taken())
			last := all.of(t, EventCount)
			unseen, _ := last[len(last)-1]["total_unseen"].(float64)
			if all.total != produced || all.missed != uint64(k.dropped) || unseen != float64(k.dropped) {
				rt.Fatalf("got the total %d of %d, %d told as overruns and %v unseen of %d that were dropped", all.total, produced, all.missed, unseen, k.dropped)
			}
		})
	})
}

func TestCounterDebouncesWhereTheKernelDoesNot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		spec := counterSpec()
		spec.Debounce = 10 * time.Millisecond
		k, log, all := newFakeKernel(), &slowLog{}, &counts{}
		k.refuse = func(c gpiochip.Config) error {
			if c.Debounce > 0 {
				return errors.New("invalid argument")
			}
			return nil
		}
		_, stop := startCounter(t, spec, k, log, "")
		for range 10 {
			for range 5 { // bounces, and ends on
				k.toggle()
				after(time.Millisecond)
			}
			after(50 * time.Millisecond)
			k.set(false)
			after(50 * time.Millisecond)
		}
		stop()
		if all.add(t, log.taken()); all.total != 10 {
			t.Errorf("got %d pulses, want 10", all.total)
		}
	})
}

// TestNewsThatComesDuringACommitWaits has more runs of lost edges than there is room for, before and during a commit.
func TestNewsThatComesDuringACommitWaits(t *testing.T) {
	t.Parallel()
	c := testCommon()
	spec := counterSpec()
	tl := &tally{logger: c.Logger, wants: spec.wants}
	number, told := uint32(0), uint64(0)
	holes := func(n int) {
		for range n {
			number += 3
			tl.add([]gpiochip.Event{{Rising: true, Sequence: number}})
		}
	}
	read := func(c counted) {
		for _, n := range c.news {
			told += n.data.(overrunData).Counted
		}
	}
	for i, during := range []int{0, 1, 700, 300, 5} {
		holes(100 * i)
		under := tl.at(0)
		holes(during)
		read(under)
		tl.stored(under, newCountID())
		if n := len(tl.news); n > maxNews+2 {
			t.Errorf("%d events wait", n)
		}
	}
	read(tl.at(0))
	if lost := uint64(number) / 3 * 2; told != lost || tl.unseen != lost || tl.total != uint64(number) {
		t.Errorf("told of %d lost edges, counted %d of %d, want %d; total %d", told, tl.unseen, number, lost, tl.total)
	}
}

func TestRatesGoByTheTimesOfPulses(t *testing.T) {
	t.Parallel()
	var p pace
	check := func(now time.Duration, want float64, known bool) {
		t.Helper()
		if got, ok := p.rate(now); ok != known || math.Abs(got-want) > 1e-12 {
			t.Errorf("at %v: got %v, %v, want %v, %v", now, got, ok, want, known)
		}
	}
	check(time.Second, 0, false)
	p.edge(2*time.Second, 1)
	check(3*time.Second, 0, false)
	p.edge(6*time.Second, 2)
	check(6*time.Second, 0.25, true)
	p.told()
	check(10*time.Second, 0.25, true)
	check(16*time.Second, 0.1, true) // a pulse now would make it a tenth
	check(46*time.Second, 0.025, true)
	check(47*time.Second, 0, true)
	p.told()
	p.edge(56*time.Second, 3)
	check(56*time.Second, 0.02, true)
	p.edge(57*time.Second, 53) // with edges that were lost
	check(57*time.Second, 1, true)
}

func TestRuntimeRecords(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	id := newCountID()
	r, _, ok, err := openRecord(dir, "../water meter", "log", "boot")
	if err != nil || ok {
		t.Fatalf("a new record: %v, %v", ok, err)
	}
	for total := range uint64(9) {
		if err := r.write(recordedCount{base: countBase(id), total: total, unseen: total / 2}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.count"))
	if len(files) != 1 {
		t.Fatalf("got the files %v", files)
	}
	reopen := func(name, logID, boot string) (recordedCount, bool) {
		r, found, ok, err := openRecord(dir, name, logID, boot)
		if err != nil {
			t.Fatal(err)
		}
		r.close()
		return found, ok
	}
	if got, ok := reopen("../water meter", "log", "boot"); !ok || got.total != 8 || got.unseen != 4 || got.base != countBase(id) {
		t.Errorf("got %+v, %v", got, ok)
	}
	// What is of another device, log or boot is not believed, even if it were in this one's file.
	for _, other := range [][3]string{{"gas", "log", "boot"}, {"../water meter", "log2", "boot"}, {"../water meter", "log", "boot2"}} {
		r, _, _, err := openRecord(dir, other[0], other[1], other[2])
		if err != nil {
			t.Fatal(err)
		}
		r.close()
		b, _ := os.ReadFile(files[0])
		if err := os.WriteFile(r.f.Name(), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, ok := reopen(other[0], other[1], other[2]); ok {
			t.Errorf("%v: believed %+v", other, got)
		}
	}
	// Each byte of the newer slot that is torn leaves the older one.
	b, _ := os.ReadFile(files[0])
	newer := 0
	if 9%2 == 1 {
		newer = slotStride
	}
	for i := range slotSize {
		torn := slices.Clone(b)
		torn[newer+i] ^= 0x10
		if err := os.WriteFile(files[0], torn, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, ok := reopen("../water meter", "log", "boot"); !ok || got.total != 7 {
			t.Fatalf("byte %d torn: got %+v, %v", i, got, ok)
		}
	}
	s := storedCount{ID: id, Previous: newCountID(), Total: 5}
	for _, c := range []struct {
		r    recordedCount
		want bool
	}{
		{recordedCount{base: countBase(s.ID), total: 8}, true},
		{recordedCount{base: countBase(s.Previous), total: 8}, true}, // killed before it knew of the commit
		{recordedCount{base: countBase(s.Previous), total: 4}, false},
		{recordedCount{base: countBase(newCountID()), total: 8}, false},
		{recordedCount{total: 8}, false},
	} {
		if got := c.r.goesOn(s); got != c.want {
			t.Errorf("%+v goes on: %v, want %v", c.r, got, c.want)
		}
	}
}

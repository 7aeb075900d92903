package buffer

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gateway"
)

// machineClock is a kernel's clock that a test moves.
type machineClock struct {
	mu     sync.Mutex
	truth  time.Time     // what an observer's watch says
	mono   time.Duration // since boot
	wrong  time.Duration // the wall clock is wrong by
	synced bool
	boot   byte
}

func (c *machineClock) hooks() hooks {
	return hooks{clock: kernel{
		wall:   func() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.truth.Add(c.wrong) },
		mono:   func() time.Duration { c.mu.Lock(); defer c.mu.Unlock(); return c.mono },
		synced: func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.synced },
		boot:   [16]byte{c.boot},
	}}
}

func (c *machineClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.truth, c.mono = c.truth.Add(d), c.mono+d
}

// set moves the wall clock, by hand or by a time source.
func (c *machineClock) set(wrong time.Duration, synced bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong, c.synced = wrong, synced
}

// reboot starts the machine again after it was off: its clock says what it said at the end, or 1970.
func (c *machineClock) reboot(off time.Duration, wrong time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.truth, c.mono, c.wrong, c.synced = c.truth.Add(off), 5*time.Second, wrong, false
	c.boot++
}

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

const year = 365 * 24 * time.Hour

// stamp appends an event and looks at the clock, as the housekeeper does.
func stamp(t *testing.T, l *Log, data string) {
	t.Helper()
	if _, err := l.Append(testContext(t), event(data)); err != nil {
		t.Fatal(err)
	}
	if err := l.noteTime(); err != nil {
		t.Fatal(err)
	}
}

// TestClockAt1970KeepsOrder starts a machine without a battery in 1970, behind a log of 2026: its events come in their order, are never older
// than the newest event of the log, and say that their time is not known; and once it is, they have it.
func TestClockAt1970KeepsOrder(t *testing.T) {
	t.Parallel()
	c := &machineClock{truth: noon, synced: true, boot: 1}
	dir := t.TempDir()
	l := openLog(t, Options{Dir: dir, hooks: c.hooks()})
	stamp(t, l, "before")
	closeLog(t, l)
	c.reboot(time.Hour, -56*year)
	l = openLog(t, Options{Dir: dir, hooks: c.hooks()})
	var truth []time.Time
	for i := range 5 {
		c.pass(time.Minute)
		truth = append(truth, c.truth)
		stamp(t, l, fmt.Sprint(i))
	}
	if s := l.Status().Clock; s.Synced || s.Now.Before(noon) || s.Ahead < 50*year {
		t.Errorf("got %+v, want a clock that is not synchronised and not behind the log", s)
	}
	before := noon
	for i, e := range readTo(t, l, 1, 6) {
		if e.Received.Before(before) || e.Event.Extensions[gateway.ExtClock] != gateway.ClockUnsynced || string(e.Event.Data) != fmt.Sprint(i) {
			t.Errorf("event %d: got %s at %s, %v; want it after %s and marked", i, e.Event.Data, e.Received, e.Event.Extensions, before)
		}
		before = e.Received
	}
	c.pass(time.Minute)
	c.set(0, true)
	c.pass(2 * time.Second)
	stamp(t, l, "synchronised")
	for _, again := range []bool{false, true} { // from memory, and from the disk
		if again {
			closeLog(t, l)
			l = openLog(t, Options{Dir: dir, hooks: c.hooks()})
		}
		entries := readTo(t, l, 1, 7)
		for i, e := range entries[:5] {
			if !e.Received.Equal(truth[i]) || !e.Event.Time.Equal(truth[i]) || e.Event.Extensions[gateway.ExtClock] != gateway.ClockCorrected {
				t.Errorf("event %d: got %s, %v; want %s and that it is corrected", i, e.Received, e.Event.Extensions, truth[i])
			}
		}
		if e := entries[5]; e.Event.Extensions[gateway.ExtClock] != "" || !e.Received.Equal(c.truth) {
			t.Errorf("got %s, %v; want the true time without a word", e.Received, e.Event.Extensions)
		}
	}
	if s := l.Status().Clock; !s.Synced || s.Ahead != 0 {
		t.Errorf("got %+v, want it synchronised", s)
	}
}

// TestTimesOfDevicesStay: what a device says of its time is its own.
func TestTimesOfDevicesStay(t *testing.T) {
	t.Parallel()
	c := &machineClock{truth: noon, wrong: -10 * year, boot: 1}
	l := openLog(t, Options{hooks: c.hooks()})
	own := noon.Add(-time.Second)
	e := event("x")
	e.Time = own
	if _, err := l.Append(testContext(t), e); err != nil {
		t.Fatal(err)
	}
	c.set(0, true)
	c.pass(2 * time.Second)
	stamp(t, l, "y")
	got := readTo(t, l, 0, 2)[0]
	if !got.Event.Time.Equal(own) || got.Event.Extensions[gateway.ExtClock] != "" || !got.Received.Equal(noon) {
		t.Errorf("got %+v received %s, want its own time and no word, and the true time of receipt", got.Event, got.Received)
	}
}

// TestNothingExpiresByAWrongClock: ten years forth and back, before and after a synchronisation, nothing is too old.
func TestNothingExpiresByAWrongClock(t *testing.T) {
	t.Parallel()
	c := &machineClock{truth: noon, synced: true, boot: 1}
	dir := t.TempDir()
	o := Options{Dir: dir, MaxAge: 24 * time.Hour, KeepDelivered: time.Hour, hooks: c.hooks()}
	l := openLog(t, o)
	settle(t, l, "up", 0)
	for range recentBlocks + 20 {
		stamp(t, l, "x")
	}
	look := func(what string) {
		t.Helper()
		c.pass(2 * time.Second)
		for range 2 {
			if err := l.lookAtAges(); err != nil {
				t.Fatal(err)
			}
			stamp(t, l, "y")
		}
		if s := l.Status(); s.First != 1 || len(s.Lost) > 0 {
			t.Fatalf("%s: the log begins at %d, %v lost", what, s.First, s.Lost)
		}
	}
	look("synchronised")
	c.set(10*year, false)
	look("ten years ahead, not synchronised any more")
	c.set(-10*year, false)
	look("ten years behind")
	c.set(10*year, true)
	look("a time source that says ten years ahead, for a moment")
	c.set(0, true)
	look("right again")
	closeLog(t, l)
	c.reboot(time.Minute, 10*year)
	o.hooks = c.hooks()
	l = openLog(t, o)
	look("a boot ten years ahead")
	c.set(0, true)
	look("which is put right")
	// And what is old goes, by the true time.
	c.pass(25 * time.Hour)
	c.set(-10*year, false) // whatever the wall clock says: it was synchronised since boot
	stamp(t, l, "new")
	waitFor(t, "the old to go", func() bool {
		if err := l.lookAtAges(); err != nil {
			t.Fatal(err)
		}
		return l.Status().Lost[gateway.LostAge] > 0
	})
}

// TestTimesAreTrueOnceTheyAreKnown moves the clock at random: order never depends on it, and every event of a boot in which the true time
// became known has it.
func TestTimesAreTrueOnceTheyAreKnown(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		c := &machineClock{truth: noon, boot: 1, wrong: time.Duration(rapid.IntRange(-10, 10).Draw(rt, "wrong")) * year}
		dir := t.TempDir()
		o := Options{Dir: dir, hooks: c.hooks(), Logger: slog.New(slog.DiscardHandler)}
		l := openLog(t, o)
		type sent struct {
			at   time.Time
			boot byte
		}
		var all []sent
		known := map[byte]bool{}
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			switch rapid.IntRange(0, 6).Draw(rt, "step") {
			case 0, 1, 2:
				all = append(all, sent{c.truth, c.boot})
				stamp(t, l, fmt.Sprint(len(all)))
				known[c.boot] = known[c.boot] || c.synced
			case 3:
				c.pass(time.Duration(rapid.IntRange(1, 3600).Draw(rt, "seconds")) * time.Second)
			case 4: // somebody sets the clock, and no source of time follows
				c.set(time.Duration(rapid.IntRange(-10, 10).Draw(rt, "years"))*year, false)
				c.pass(2 * time.Second)
			case 5:
				c.set(0, true)
				c.pass(2 * time.Second)
				all = append(all, sent{c.truth, c.boot})
				stamp(t, l, fmt.Sprint(len(all)))
				known[c.boot] = true
			case 6:
				closeLog(t, l)
				if rapid.Bool().Draw(rt, "reboot") {
					c.reboot(time.Hour, time.Duration(rapid.IntRange(-10, 10).Draw(rt, "years"))*year)
				}
				o.hooks = c.hooks()
				l = openLog(t, o)
			}
		}
		if len(all) == 0 {
			return
		}
		for i, e := range readTo(t, l, 0, gateway.Offset(len(all))) {
			if string(e.Event.Data) != fmt.Sprint(i+1) {
				rt.Fatalf("offset %d has event %s", e.Offset, e.Event.Data)
			}
			word := e.Event.Extensions[gateway.ExtClock]
			if off := e.Received.Sub(all[i].at).Abs(); known[all[i].boot] && (off > time.Second || word == gateway.ClockUnsynced) {
				rt.Fatalf("event %d: got %s (%s), want %s", i+1, e.Received, word, all[i].at)
			}
			if !known[all[i].boot] && word != gateway.ClockUnsynced {
				rt.Fatalf("event %d of a boot whose time is not known says %q", i+1, word)
			}
		}
		closeLog(t, l)
	})
}

// TestBootsAreForgotten: the corrections of boots that no event needs any more do not pile up.
func TestBootsAreForgotten(t *testing.T) {
	t.Parallel()
	c := &machineClock{truth: noon, synced: true, boot: 1}
	dir := t.TempDir()
	var l *Log
	for range maxBoots + 10 {
		l = openLog(t, Options{Dir: dir, hooks: c.hooks()})
		settle(t, l, "up", 0)
		stamp(t, l, "x")
		closeLog(t, l)
		c.reboot(time.Minute, 0)
		c.set(0, true)
	}
	l = openLog(t, Options{Dir: dir, hooks: c.hooks()})
	if n := len(l.boots.known); n > maxBoots+1 {
		t.Errorf("got %d boots, want %d at most", n, maxBoots)
	}
}

// TestBootFirst: the log knows since which offset the machine runs, over restarts of the process and of the machine.
func TestBootFirst(t *testing.T) {
	t.Parallel()
	c := &machineClock{truth: noon, synced: true, boot: 1}
	dir := t.TempDir()
	check := func(want gateway.Offset, more int) {
		t.Helper()
		l := openLog(t, Options{Dir: dir, hooks: c.hooks()})
		defer closeLog(t, l)
		if got := l.Status().BootFirst; got != want {
			t.Errorf("got %d, want %d", got, want)
		}
		for i := range more {
			stamp(t, l, fmt.Sprint(i))
		}
	}
	check(1, 0)
	check(1, 40)
	check(1, 3)
	c.reboot(time.Hour, 0)
	check(44, 0)
	check(44, 1)
	check(44, 25)
	c.reboot(time.Hour, 0)
	check(70, 0)
}

package devices

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"

	"gateway"
	"gateway/devices/gpiochip"
)

func inputSpec() Spec {
	return Spec{Name: "door", Type: TypeInput, Pin: "GPIO17", Pull: PullUp, Edges: EdgesBoth}
}

// said is what inputs said, in short.
func said(t *testing.T, events []gateway.Event) (all []string) {
	t.Helper()
	for _, e := range events {
		m := fields(t, e)
		switch e.Type {
		case EventInput:
			s := fmt.Sprint(m["state"], " ", m["edge"])
			if held, ok := m["held_ns"]; ok {
				s += fmt.Sprint(" ", time.Duration(held.(float64)))
			}
			all = append(all, s)
		case EventOverrun:
			all = append(all, fmt.Sprintf("lost %v: %v-%v", m["lost"], m["from_sequence"], m["to_sequence"]))
		case EventFault:
			all = append(all, fmt.Sprint("fault ", m["class"]))
		default:
			all = append(all, e.Type)
		}
	}
	return all
}

func wantSaid(t *testing.T, log *slowLog, want ...string) {
	t.Helper()
	if got := said(t, log.taken()); !slices.Equal(got, want) {
		t.Errorf("got\n %s\nwant\n %s", strings.Join(got, "\n "), strings.Join(want, "\n "))
	}
}

func startInput(t *testing.T, spec Spec) (*fakeKernel, *slowLog, Device, func()) {
	t.Helper()
	k, log := newFakeKernel(), &slowLog{}
	d, err := NewInput(spec, k, testCommon())
	if err != nil {
		t.Fatal(err)
	}
	stop := running(t, d, log)
	synctest.Wait()
	return k, log, d, stop
}

// after lets time pass, and what is to happen happen.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestInputSaysTheLevelAndEachEdge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k, log, d, stop := startInput(t, inputSpec())
		defer stop()
		start := time.Now()
		after(70 * time.Millisecond)
		k.set(true)
		after(30 * time.Millisecond)
		k.set(false)
		synctest.Wait()
		events := log.taken()
		log.events = events
		wantSaid(t, log, "off start", "on rising", "off falling 30ms")
		for i, want := range []time.Duration{0, 70 * time.Millisecond, 100 * time.Millisecond} {
			e := events[i]
			if !e.Time.Equal(start.Add(want)) {
				t.Errorf("event %d is of %v, want %v", i, e.Time, start.Add(want))
			}
			if e.Source != "//g1/devices/door" || e.Subject != "devices/door" || e.DataContentType != "application/json" {
				t.Errorf("event %d: got source %q, subject %q, content type %q", i, e.Source, e.Subject, e.DataContentType)
			}
			if err := e.Validate(); err != nil {
				t.Error(err)
			}
		}
		if got := fields(t, events[2])["sequence"]; got != 2.0 {
			t.Errorf("the second edge has the sequence %v", got)
		}
		if s := d.Status(); s.State != gateway.DeviceOK || s.Value != "off" || s.Reads != 2 || s.Events != 3 || s.Missed != 0 || s.Where != "GPIO17" {
			t.Errorf("got the status %+v", s)
		}
	})
}

func TestInputAsksTheKernelForWhatWasConfigured(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		change func(*Spec)
		want   gpiochip.Config
	}{
		{func(*Spec) {}, gpiochip.Config{Pull: gpio.PullUp, Edge: gpio.BothEdges}},
		{func(s *Spec) { s.Pull, s.Edges = PullDown, EdgesRising }, gpiochip.Config{Pull: gpio.PullDown, Edge: gpio.RisingEdge}},
		{func(s *Spec) { s.Pull, s.Edges = PullNone, EdgesFalling }, gpiochip.Config{Pull: gpio.Float, Edge: gpio.FallingEdge}},
		{func(s *Spec) { s.Pull, s.Invert = PullAsIs, true }, gpiochip.Config{Pull: gpio.PullNoChange, Edge: gpio.BothEdges, ActiveLow: true}},
		{func(s *Spec) { s.Debounce = time.Millisecond }, gpiochip.Config{Pull: gpio.PullUp, Edge: gpio.BothEdges, Debounce: time.Millisecond}},
		{func(s *Spec) { s.Edges, s.LongPress = EdgesRising, time.Second }, gpiochip.Config{Pull: gpio.PullUp, Edge: gpio.BothEdges}},
	} {
		synctest.Test(t, func(t *testing.T) {
			spec := inputSpec()
			c.change(&spec)
			k, _, _, stop := startInput(t, spec)
			stop()
			c.want.Buffer, c.want.Consumer = kernelBuffer, "gateway door"
			if got := k.configs(); len(got) != 1 || got[0] != c.want {
				t.Errorf("%+v: got %+v, want %+v", spec, got, c.want)
			}
		})
	}
	for _, wrong := range []Spec{{Pull: "sideways", Edges: EdgesBoth}, {Pull: PullUp, Edges: "none"}} {
		if _, err := NewInput(wrong, newFakeKernel(), testCommon()); err == nil {
			t.Errorf("%+v was accepted", wrong)
		}
	}
}

func TestInputSpeaksOfTheEdgesThatWereAskedFor(t *testing.T) {
	t.Parallel()
	for edges, want := range map[string][]string{
		EdgesRising:  {"off start", "on rising", "on held 1s", "on rising"},
		EdgesFalling: {"off start", "on held 1s", "off falling 2s", "off falling 500ms"},
	} {
		synctest.Test(t, func(t *testing.T) {
			spec := inputSpec()
			spec.Edges, spec.LongPress = edges, time.Second
			k, log, _, stop := startInput(t, spec)
			defer stop()
			for _, d := range []time.Duration{time.Second, 2 * time.Second, time.Second, time.Second / 2} {
				after(d)
				k.toggle()
			}
			synctest.Wait()
			wantSaid(t, log, want...)
		})
	}
}

func TestInputTimesAreRightAfterTheClockWasSet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newFakeKernel()
		k.setClock(-40 * 365 * 24 * time.Hour) // as if it were that much later: the edges' wall time is not what it was
		log := &slowLog{}
		d, err := NewInput(inputSpec(), k, testCommon())
		if err != nil {
			t.Fatal(err)
		}
		defer running(t, d, log)()
		synctest.Wait()
		for _, step := range []time.Duration{0, 40 * 365 * 24 * time.Hour, -time.Hour, 300 * time.Microsecond} {
			k.setClock(step)
			after(time.Second)
			edge := time.Now()
			k.toggle()
			synctest.Wait()
			events := log.taken()
			if got := events[len(events)-1].Time; got.Sub(edge).Abs() > sameClock {
				t.Errorf("after a step of %v: got the time %v of an edge at %v", step, got, edge)
			}
		}
	})
}

func TestTimesOfAClockThatWasNeverSetAreLeftToTheLog(t *testing.T) {
	t.Parallel()
	c := edgeClock{zero: time.Unix(0, 0)}
	if got := c.at(time.Hour); !got.IsZero() {
		t.Errorf("got %v", got)
	}
	c.zero = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if got := c.at(time.Hour); got.Hour() != 1 || got.Year() != 2026 {
		t.Errorf("got %v", got)
	}
}

func TestInputDebouncesWhereTheKernelDoesNot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		spec := inputSpec()
		spec.Debounce = 20 * time.Millisecond
		k, log := newFakeKernel(), &slowLog{}
		k.refuse = func(c gpiochip.Config) error {
			if c.Debounce > 0 {
				return errors.New("invalid argument")
			}
			return nil
		}
		d, err := NewInput(spec, k, testCommon())
		if err != nil {
			t.Fatal(err)
		}
		defer running(t, d, log)()
		synctest.Wait()
		bounce := func(end bool) (settles time.Time) {
			for range 9 {
				k.toggle()
				after(3 * time.Millisecond)
			}
			if k.level != end {
				k.set(end)
			}
			return time.Now().Add(20 * time.Millisecond)
		}
		after(time.Second)
		on := bounce(true).Add(-3 * time.Millisecond) // the ninth edge was the last one
		after(time.Second)
		k.set(false) // too short to count
		after(19 * time.Millisecond)
		k.set(true)
		after(time.Second)
		k.set(false)
		after(20 * time.Millisecond)
		events := log.taken()
		log.events = events
		wantSaid(t, log, "off start", "on rising", fmt.Sprint("off falling ", time.Since(on)))
		if !events[1].Time.Equal(on) || !events[2].Time.Equal(time.Now()) {
			t.Errorf("got the times %v and %v, want %v and %v", events[1].Time, events[2].Time, on, time.Now())
		}
	})
}

func TestInputTellsALongPress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		spec := inputSpec()
		spec.LongPress = 2 * time.Second
		k, log, _, stop := startInput(t, spec)
		defer stop()
		k.set(true)
		after(1999 * time.Millisecond)
		k.set(false)
		after(5 * time.Second)
		wantSaid(t, log, "off start", "on rising", "off falling 1.999s")
		k.set(true)
		pressed := time.Now()
		after(2 * time.Second)
		events := log.taken()
		log.events = events
		wantSaid(t, log, "on rising", "on held 2s")
		if !events[1].Time.Equal(pressed.Add(2 * time.Second)) {
			t.Errorf("held at %v, pressed at %v", events[1].Time, pressed)
		}
		after(time.Minute)
		k.set(false)
		synctest.Wait()
		wantSaid(t, log, "off falling 1m2s")

		// The log is busy while the button is pressed and released: the times of the edges count.
		log.set(func(l *slowLog) { l.takes = 10 * time.Second })
		k.set(true)
		after(time.Second)
		k.set(false)
		after(time.Second)
		k.set(true)
		after(3 * time.Second)
		k.set(false)
		after(time.Minute)
		wantSaid(t, log, "on rising", "off falling 1s", "on rising", "on held 2s", "off falling 3s")
	})
}

// TestInputDoesNotGoByALevelWhileEdgesWait is for a button that was released and pressed again, of which the gateway does not know yet.
func TestInputDoesNotGoByALevelWhileEdgesWait(t *testing.T) {
	t.Parallel()
	spec, k := inputSpec(), newFakeKernel()
	spec.LongPress = time.Second
	d, err := NewInput(spec, k, testCommon())
	if err != nil {
		t.Fatal(err)
	}
	l := &openLine{line: &fakeRequest{k: k}, on: true, both: true}
	k.level = true
	r := &edgeReader{queue: make(chan gpiochip.Event, 1)}
	for waiting, want := range map[int]int{1: 0, 0: 1} {
		c := newContact(&spec, l, k.Now()-time.Minute)
		c.remarks()
		if waiting > 0 {
			r.queue <- gpiochip.Event{}
		}
		if err := d.(*input).look(c, l, r); err != nil {
			t.Fatal(err)
		}
		if got := c.remarks(); len(got) != want {
			t.Errorf("with %d edges waiting: got the remarks %+v", waiting, got)
		}
		if waiting > 0 {
			<-r.queue
		}
	}
}

func TestInputFaults(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]string{
		gpiochip.ErrGone: lineMissing, gpiochip.ErrBusy: lineBusy, gpiochip.ErrNotFound: lineMissing,
		&fs.PathError{Op: "open", Path: "/dev/gpiochip0", Err: fs.ErrPermission}: linePermission, errors.New("input/output error"): lineOther,
	} {
		synctest.Test(t, func(t *testing.T) {
			k, log, d, stop := startInput(t, inputSpec())
			k.set(true)
			k.unplug(err)
			synctest.Wait()
			events := log.taken()
			log.events = events
			wantSaid(t, log, "off start", "on rising", "fault "+want)
			if got := events[2].Subject; got != "devices/door/fault" {
				t.Errorf("the fault's subject is %q", got)
			}
			if hint, ok := fields(t, events[2])["hint"]; ok != (want == linePermission) || ok && !strings.Contains(hint.(string), "gpio") {
				t.Errorf("%s: got the hint %v", want, hint)
			}
			after(time.Hour)
			wantSaid(t, log)
			if s := d.Status(); s.State != gateway.DeviceFault || s.Faults != 1 || !strings.Contains(s.Fault, err.Error()) {
				t.Errorf("got the status %+v", s)
			}
			k.plug()
			after(reopenMax)
			wantSaid(t, log, EventRecovered, "on recovered")
			if s := d.Status(); s.State != gateway.DeviceOK || s.Fault != "" {
				t.Errorf("got the status %+v", s)
			}
			stop()
			if s := d.Status(); s.State != gateway.DeviceStopped || k.open != nil {
				t.Errorf("got the status %+v, line open: %v", s, k.open != nil)
			}
		})
	}
}

func TestAttemptsToOpenALineGrowRarer(t *testing.T) {
	t.Parallel()
	var b lineBackoff
	for i, whole := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 1, 2} {
		worked := time.Duration(0)
		if i == 8 {
			worked = reopenMax
		}
		if got := b.after(worked); got < whole*time.Second/2 || got > whole*time.Second {
			t.Errorf("wait %d: got %v, want half to all of %v", i, got, whole*time.Second)
		}
	}
}

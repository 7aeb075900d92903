package devices

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gateway"
)

// script is a driver that a test writes: read is called for each read, with its number from 0.
type script struct {
	opens, closes, reads int
	open                 func(n int) error
	read                 func(n int) ([]Reading, error)
}

func (s *script) begin(context.Context, *environment) (reader, error) {
	s.opens++
	if s.open != nil {
		if err := s.open(s.opens - 1); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *script) Read(context.Context) ([]Reading, error) {
	s.reads++
	return s.read(s.reads - 1)
}

func (s *script) Close() error {
	s.closes++
	return nil
}

// scripted is a sensor of temperature and humidity with that driver.
func scripted(t *testing.T, spec Spec, s *script) Device {
	t.Helper()
	spec.Name, spec.Type = "probe", "sht4x"
	d, err := NewSensor(spec, NewHardware(HardwareOptions{}), common())
	if err != nil {
		t.Fatal(err)
	}
	d.(*sensor).driver.Bus = BusNone
	d.(*sensor).open = s.begin
	return d
}

func both2(temperature, humidity float64) []Reading {
	return []Reading{{"temperature", temperature, "Cel"}, {"humidity", humidity, "%"}}
}

func TestReadingsDoNotDriftAndMissedOnesAreSkipped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var starts []time.Duration
		s := &script{read: func(n int) ([]Reading, error) {
			starts = append(starts, time.Since(began))
			took := 300 * time.Millisecond
			if n == 3 {
				took = 3500 * time.Millisecond // longer than three intervals
			}
			pass(took)
			return both2(20, 40), nil
		}}
		d := scripted(t, Spec{Interval: time.Second}, s)
		out := &fakeLog{}
		run(t, d, out, 9900*time.Millisecond)
		want := []time.Duration{0, 1, 2, 3, 7, 8, 9}
		for i := range want {
			want[i] *= time.Second
		}
		if !slices.Equal(starts, want) {
			t.Errorf("reads began at %v, want %v", starts, want)
		}
		if got := d.Status(); got.Missed != 3 || got.Reads != 7 || got.Events != 7 {
			t.Errorf("got %+v, want 3 missed, 7 reads and events", got)
		}
		if at := out.all()[0].Time.Sub(began); at != 300*time.Millisecond {
			t.Errorf("the first event's time is %s after the start, want when it was read", at)
		}
	})
}

func TestTheMiddleOfSeveralReadsCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		values := []float64{20.2, 84.9, 20.1, 20.3, 20.2}
		s := &script{read: func(n int) ([]Reading, error) { return both2(values[n%5], float64(n%2)), nil }}
		out := &fakeLog{}
		run(t, scripted(t, Spec{Interval: time.Second, Average: 5}, s), out, 500*time.Millisecond)
		want(t, data(t, out.all()[0]), `{"temperature":20.2,"humidity":0,"units":{"temperature":"Cel","humidity":"%"}}`)
		if s.reads != 5 {
			t.Errorf("got %d reads, want 5", s.reads)
		}
	})
	if got := median([][]Reading{both2(1, 0), both2(2, 1)}); got[0].Value != 1.5 || got[1].Value != 0.5 {
		t.Errorf("of two: got %v, want their mean", got)
	}
	wild := both2(math.Inf(1), 0)
	if got := median([][]Reading{wild, both2(20, 0), both2(21, 0)}); got[0].Value != 21 {
		t.Errorf("with one beyond the range: got %v, want 21", got[0].Value)
	}
	if got := median([][]Reading{both2(math.Inf(1), 0), both2(math.Inf(1), 0)}); !math.IsInf(got[0].Value, 1) {
		t.Errorf("all beyond the range: got %v, want infinity", got[0].Value)
	}
}

func TestWhatIsReported(t *testing.T) {
	t.Parallel()
	values := []float64{20, 20, 20.1, 20.1, 20.25, 20.3, 20.5, 20.5, 20.5, 20.5}
	for _, c := range []struct {
		spec Spec
		want []float64
	}{
		{Spec{Report: ReportAlways}, values},
		{Spec{Report: ReportChanged}, []float64{20, 20.1, 20.25, 20.3, 20.5}},
		{Spec{Report: ReportDeadband, Adjust: []Adjust{{Quantity: "temperature", Scale: 1, Deadband: 0.2}}}, []float64{20, 20.25, 20.5}},
		{Spec{Report: ReportChanged, Heartbeat: 3 * time.Second}, []float64{20, 20.1, 20.25, 20.3, 20.5, 20.5}},
		{Spec{Report: ReportDeadband, Heartbeat: 2 * time.Second}, []float64{20, 20.1, 20.25, 20.3, 20.5, 20.5}},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{read: func(n int) ([]Reading, error) {
				pass(time.Duration(n%4) * time.Millisecond) // a bus is not always as fast
				return both2(values[n], 40), nil
			}}
			c.spec.Interval = time.Second
			d := scripted(t, c.spec, s)
			out := &fakeLog{}
			run(t, d, out, 9500*time.Millisecond)
			var got []float64
			for _, e := range out.all(EventReading) {
				got = append(got, data(t, e)["temperature"].(float64))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s, heartbeat %s: got %v, want %v", c.spec.Report, c.spec.Heartbeat, got, c.want)
			}
			if st := d.Status(); st.Quiet != 10-uint64(len(c.want)) || st.Value != "20.5 Cel, 40 %" {
				t.Errorf("%s: got %+v, want %d quiet reads", c.spec.Report, st, 10-len(c.want))
			}
		})
	}
}

func TestAQuantityThatComesOrGoesIsAChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{read: func(n int) ([]Reading, error) { return both2(20, 40)[:2-n/2%2], nil }}
		out := &fakeLog{}
		run(t, scripted(t, Spec{Interval: time.Second, Report: ReportChanged}, s), out, 5500*time.Millisecond)
		if got := len(out.all(EventReading)); got != 3 {
			t.Errorf("got %d events, want 3: both, one, both", got)
		}
	})
}

func TestValuesAreCalibratedWithoutNewDigits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{read: func(int) ([]Reading, error) { return both2(21.456789, 33.333333), nil }}
		out := &fakeLog{}
		run(t, scripted(t, Spec{Interval: time.Second, Adjust: []Adjust{{Quantity: "temperature", Scale: 1.1, Offset: -0.3}, {Quantity: "humidity", Scale: 10}}}, s), out, 0)
		want(t, data(t, out.all()[0]), `{"temperature":23.3,"humidity":333.3,"units":{"temperature":"Cel","humidity":"%"}}`)
	})
	for _, c := range []struct {
		v      float64
		digits int
		want   float64
	}{{0.1 + 0.2, 3, 0.3}, {-0.001, 2, 0}, {1e15, 9, 1e15}, {2.5, 0, 2}, {-17.126, 2, -17.13}} {
		if got := roundTo(c.v, c.digits); got != c.want || math.Signbit(got) && got == 0 {
			t.Errorf("%v with %d digits: got %v, want %v", c.v, c.digits, got, c.want)
		}
	}
}

func TestAQuantityOutOfRangeDoesNotSilenceTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// The sensor measures 0 to 100 % and -40 to 125 °C; the configuration allows no more than 60 °C.
		hot, wet := []float64{20, 20, 61, 61, 20, 20}, []float64{40, 130, 130, 40, 40, math.NaN()}
		s := &script{read: func(n int) ([]Reading, error) { return both2(hot[n], wet[n]), nil }}
		most := 60.0
		d := scripted(t, Spec{Interval: time.Second, Adjust: []Adjust{{Quantity: "temperature", Scale: 1, Max: &most}}}, s)
		out := &fakeLog{}
		stop := start(t, d, out)
		pass(2500 * time.Millisecond)
		if got := d.Status(); got.State != gateway.DeviceFault || got.Fault != "humidity: 130 %: the sensor measures 0 % to 100 %" || got.Faults != 2 {
			t.Errorf("status: got %+v", got)
		}
		pass(3 * time.Second)
		stop()
		var story []string
		for _, e := range out.all() {
			m := data(t, e)
			delete(m, "units")
			if e.Type == EventReading {
				story = append(story, fmt.Sprint(m))
				continue
			}
			story = append(story, fmt.Sprint(e.Type[len("device."):], " ", m["quantity"], " ", m["class"]))
			if e.Type == EventRecovered && m["quantity"] == "humidity" && (m["down_seconds"] != 2.0 || m["attempts"] != 2.0) {
				t.Errorf("got %v, want down for 2 s in 2 attempts", m)
			}
		}
		want := []string{
			"map[humidity:40 temperature:20]",
			"fault humidity range", "map[temperature:20]",
			"fault temperature range",
			"recovered humidity range", "map[humidity:40]",
			"recovered temperature range", "map[humidity:40 temperature:20]",
			"fault humidity range", "map[temperature:20]",
		}
		if !slices.Equal(story, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(story, "\n"), strings.Join(want, "\n"))
		}
		if s.opens != 1 {
			t.Errorf("the driver was opened %d times, want once: a range is no reason to", s.opens)
		}
	})
}

func TestAFaultIsToldOnceAndProbedLessAndLess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var attempts []time.Duration
		s := &script{
			open: func(n int) error {
				if n == 0 || time.Since(began) > 15*time.Minute {
					return nil
				}
				attempts = append(attempts, time.Since(began))
				if len(attempts) > 10 { // it is there again, but does not answer
					return fmt.Errorf("i2c-1 0x44: %w", syscall.ETIMEDOUT)
				}
				return fmt.Errorf("i2c-1 0x44: %w", syscall.EREMOTEIO)
			},
			read: func(n int) ([]Reading, error) {
				if n == 1 {
					return nil, fmt.Errorf("i2c-1 0x44: %w", syscall.EREMOTEIO)
				}
				return both2(20, 40), nil
			},
		}
		d := scripted(t, Spec{Interval: 10 * time.Second, Report: ReportChanged}, s)
		out := &fakeLog{}
		stop := start(t, d, out)
		pass(15 * time.Minute)
		if got := d.Status(); got.State != gateway.DeviceFault || got.Faults != 1 || got.Missed != 0 || !strings.Contains(got.Fault, "i2c-1 0x44") {
			t.Errorf("status: got %+v", got)
		}
		pass(2 * time.Minute)
		stop()
		last := 10 * time.Second // of the read that failed
		jitter := false
		for i, at := range attempts {
			most := min(time.Second<<i, time.Minute)
			if gap := at - last; gap < most/2 || gap > most+time.Millisecond {
				t.Errorf("attempt %d came %s after the one before, want %s to %s", i, gap, most/2, most)
			}
			jitter = jitter || at-last < most
			last = at
		}
		if !jitter {
			t.Errorf("attempts at %v: want jitter", attempts)
		}
		if got := d.Status(); got.Missed != 0 {
			t.Errorf("got %+v, want no missed readings: a fault has events of its own", got)
		}
		faults := out.all(EventFault)
		if len(faults) != 2 || data(t, faults[0])["class"] != FaultMissing || data(t, faults[1])["class"] != FaultStuck || data(t, faults[0])["since"] != data(t, faults[1])["since"] {
			t.Fatalf("got %d faults, want one, and one when its class changes", len(faults))
		}
		f := data(t, faults[0])
		for key, want := range map[string]any{"device": "probe", "type": "sht4x", "where": "simulated", "cause": "i2c-1 0x44: remote I/O error"} {
			if f[key] != want && key != "where" {
				t.Errorf("%s of the fault: got %v, want %v", key, f[key], want)
			}
		}
		kinds := []string{}
		for _, e := range out.all() {
			kinds = append(kinds, strings.TrimPrefix(e.Type, "device."))
		}
		// The reading after the recovery is told although it is as it was; the next ones are not.
		if want := []string{"reading", "fault", "fault", "recovered", "reading"}; !slices.Equal(kinds, want) {
			t.Errorf("got %v, want %v", kinds, want)
		}
		if r := data(t, out.all(EventRecovered)[0]); r["attempts"] != float64(len(attempts)+1) {
			t.Errorf("got %v attempts, want %d", r["attempts"], len(attempts)+1)
		}
		if s.closes != 2 {
			t.Errorf("the driver was closed %d times, want twice: at the fault and at the end", s.closes)
		}
	})
}

func TestAfterAFaultTheScheduleIsAsBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var good []time.Duration
		s := &script{read: func(n int) ([]Reading, error) {
			if n == 1 {
				return nil, io.ErrUnexpectedEOF
			}
			good = append(good, time.Since(began))
			return both2(20, 40), nil
		}}
		d := scripted(t, Spec{Interval: 10 * time.Second}, s)
		run(t, d, &fakeLog{}, 35*time.Second)
		if len(good) != 4 || good[2] != 20*time.Second || good[3] != 30*time.Second {
			t.Errorf("good reads at %v, want at 0, within 11 s, at 20 s and at 30 s", good)
		}
	})
}

func TestAFullLogMakesASensorWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{read: func(n int) ([]Reading, error) { return both2(float64(n), 40), nil }}
		d := scripted(t, Spec{Interval: time.Second}, s)
		out := &fakeLog{}
		stop := start(t, d, out)
		pass(1500 * time.Millisecond)
		out.setFull(true)
		pass(10 * time.Second)
		out.setFull(false)
		pass(2 * time.Second)
		stop()
		var got []float64
		for _, e := range out.all() {
			got = append(got, data(t, e)["temperature"].(float64))
		}
		if !slices.Equal(got, []float64{0, 1, 2, 3}) {
			t.Errorf("got %v, want every reading once: those of a full log wait, and no others are made", got)
		}
		if st := d.Status(); st.Missed != 10 {
			t.Errorf("got %+v, want 10 readings that were missed", st)
		}
	})
}

func TestAStopIsNoFault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hw := hardware(t, t.TempDir(), map[string]transport{"1": one(0x44, &slowChip{took: 100 * time.Millisecond})})
		d, err := NewSensor(Spec{Name: "probe", Type: "sht4x", Interval: time.Second}, hw, common())
		if err != nil {
			t.Fatal(err)
		}
		out := &fakeLog{}
		run(t, d, out, 50*time.Millisecond) // in the middle of its first transfer
		if err := hw.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if got := out.all(); len(got) != 0 {
			t.Errorf("got %v, want no event", got)
		}
	})
}

func TestASensorRefusesWhatItCannotBe(t *testing.T) {
	t.Parallel()
	hw := NewHardware(HardwareOptions{})
	for _, s := range []Spec{
		{Type: "bmp999", Interval: time.Second}, {Type: "bmp280"}, {Type: "bmp280", Interval: time.Second, Address: 0x10},
		{Type: "bmp280", Interval: time.Second, Adjust: []Adjust{{Quantity: "humidity", Scale: 1}}},
	} {
		s.Name = "probe"
		if _, err := NewSensor(s, hw, common()); err == nil || !strings.Contains(err.Error(), "device probe: ") {
			t.Errorf("%+v: got %v, want an error that names the device", s, err)
		}
	}
}

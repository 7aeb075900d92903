package devices

import (
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"

	"gateway"
	"gateway/devices/gpiochip"
)

func TestSampledReadsEachInterval(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		report    string
		heartbeat time.Duration
		want      []string
		quiet     uint64
	}{
		{ReportAlways, 0, []string{"off start", "off sample", "on sample", "on sample", "on sample", "off sample"}, 0},
		{ReportChanged, 0, []string{"off start", "on sample", "off sample"}, 3},
		{ReportChanged, 2 * time.Second, []string{"off start", "on sample", "on sample", "off sample"}, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			k, log := newFakeKernel(), &slowLog{}
			d, err := NewSampled(Spec{Name: "float", Type: TypeSampled, Pin: "4", Pull: PullUp, Invert: true, Interval: time.Second, Report: c.report, Heartbeat: c.heartbeat}, k, testCommon())
			if err != nil {
				t.Fatal(err)
			}
			stop := running(t, d, log)
			after(1500 * time.Millisecond)
			k.set(true)
			after(3 * time.Second)
			k.set(false)
			after(time.Second)
			wantSaid(t, log, c.want...)
			if s := d.Status(); s.Quiet != c.quiet || s.Reads != 6 || s.Value != "off" || s.Events != uint64(len(c.want)) {
				t.Errorf("%+v: got the status %+v", c, s)
			}
			k.unplug(gpiochip.ErrGone)
			after(time.Minute)
			wantSaid(t, log, "fault missing")
			k.plug()
			k.set(true)
			after(time.Minute)
			if got := said(t, log.taken())[:2]; got[0] != EventRecovered || got[1] != "on recovered" {
				t.Errorf("got %v", got)
			}
			stop()
			if s := d.Status(); s.State != gateway.DeviceStopped {
				t.Errorf("got the state %s", s.State)
			}
			if got := k.configs()[0]; got.Edge != gpio.NoEdge || !got.ActiveLow || got.Pull != gpio.PullUp {
				t.Errorf("asked for %+v", got)
			}
		})
	}
	for _, wrong := range []Spec{{Pull: PullUp, Report: ReportAlways}, {Pull: PullUp, Interval: 1, Report: ReportDeadband}, {Interval: 1, Report: ReportAlways}} {
		if _, err := NewSampled(wrong, newFakeKernel(), testCommon()); err == nil {
			t.Errorf("%+v was accepted", wrong)
		}
	}
}

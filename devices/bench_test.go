package devices

import (
	"testing"
	"time"
)

// BenchmarkAReading is a whole reading of a chip over a bus that answers at once: transfers through the bus's goroutine, range, event, append.
func BenchmarkAReading(b *testing.B) {
	hw := NewHardware(HardwareOptions{i2c: func(string) (transport, error) {
		return one(0x18, &words{reg: map[byte]uint16{5: 0x0194, 6: 0x0054}}), nil
	}})
	defer hw.Close()
	d, err := NewSensor(Spec{Name: "probe", Type: "mcp9808", Interval: time.Second}, hw, common())
	if err != nil {
		b.Fatal(err)
	}
	s, out := d.(*sensor), &fakeLog{}
	s.report.out = out
	for b.Loop() {
		if err := s.round(b.Context()); err != nil {
			b.Fatal(err)
		}
		out.events, out.at = out.events[:0], out.at[:0]
	}
	if got := d.Status(); got.Faults != 0 || got.Value != "25.25 Cel" {
		b.Fatalf("got %+v", got)
	}
}

package mqttsink

import (
	"bytes"
	"fmt"
	"syscall"
	"testing"
	"time"

	"gateway/internal/gatewaytest"
)

// BenchmarkSend publishes 128-byte payloads to a real Mosquitto in memory, in batches of 2,000.
func BenchmarkSend(b *testing.B) {
	for _, format := range []string{FormatRaw, FormatCloudEvents} {
		for _, window := range []int{20, 100, 500, 1000, 2000} {
			b.Run(fmt.Sprintf("%s/window=%d", format, window), func(b *testing.B) {
				m := startMosquitto(b, b.TempDir(), "allow_anonymous true\n")
				o := options(b, m.addr)
				o.Format, o.Window = format, window
				s := newSink(b, o)
				batch := gatewaytest.Entries(1, 2000)
				for i := range batch {
					batch[i].Event.Data = bytes.Repeat([]byte{'x'}, 128)
				}
				if err := s.Send(b.Context(), batch[:1]); err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				cpu := cpuTime()
				b.ResetTimer()
				for sent := 0; sent < b.N; sent += len(batch) {
					if err := s.Send(b.Context(), batch[:min(len(batch), b.N-sent)]); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
				b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/float64(b.N), "cpu-ns/event")
			})
		}
	}
}

func cpuTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

package devices

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"gateway"
	"gateway/buffer"
)

// What `make bench --rows devices` runs. The log and its syncs are real; the pins are fakeKernel's and the chips register images, because this machine has none.

func benchLog(b *testing.B) *buffer.Log {
	b.Helper()
	log, err := buffer.Open(buffer.Options{Dir: b.TempDir(), Source: "//bench/log", MaxSize: 256 << 20, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := log.Close(); err != nil {
			b.Error(err)
		}
	})
	return log
}

// runDevices runs all until stop is called.
func runDevices(b *testing.B, out gateway.Appender, all ...Device) (stop func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, len(all))
	for _, d := range all {
		go func() { ended <- d.Run(ctx, out) }()
	}
	return func() {
		cancel()
		for range all {
			if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
				b.Error(err)
			}
		}
	}
}

// timedLog notes how long after its edge each event was durable.
type timedLog struct {
	log *buffer.Log

	mu   sync.Mutex // guards what follows
	took []time.Duration
}

func (l *timedLog) Append(ctx context.Context, events ...gateway.Event) (gateway.Offset, error) {
	last, err := l.log.Append(ctx, events...)
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range events {
		l.took = append(l.took, now.Sub(events[i].Time))
	}
	return last, err
}

// BenchmarkDevicesEdges is 1,000 edges a second of one input, for ten seconds: from the edge until its event is on the disk.
func BenchmarkDevicesEdges(b *testing.B) {
	const edges = 10_000
	for b.Loop() {
		k, log := newFakeKernel(), &timedLog{log: benchLog(b)}
		d, err := NewInput(inputSpec(), k, testCommon())
		if err != nil {
			b.Fatal(err)
		}
		stop := runDevices(b, log, d)
		began := time.Now()
		ticker := time.NewTicker(time.Millisecond)
		for range edges {
			<-ticker.C
			k.toggle()
		}
		ticker.Stop()
		rate := edges / time.Since(began).Seconds()
		stop()
		slices.Sort(log.took)
		if n := len(log.took); n != edges+1 || k.dropped > 0 {
			b.Fatalf("%d events of %d edges, %d dropped", n, edges, k.dropped)
		}
		b.ReportMetric(rate, "edges/s")
		b.ReportMetric(float64(log.took[edges/2].Microseconds()), "µs-p50")
		b.ReportMetric(float64(log.took[edges*99/100].Microseconds()), "µs-p99")
	}
}

// BenchmarkDevicesIdle is what 20 inputs at rest and 10 sensors that report each second take of a core, with the log's syncs.
func BenchmarkDevicesIdle(b *testing.B) {
	const measured = 20 * time.Second
	for b.Loop() {
		log := benchLog(b)
		var all []Device
		add := func(d Device, err error) {
			if err != nil {
				b.Fatal(err)
			}
			all = append(all, d)
		}
		for i := range 20 {
			s := inputSpec()
			s.Name = fmt.Sprint("input-", i)
			add(NewInput(s, newFakeKernel(), testCommon()))
		}
		bus := &fakeBus{chips: map[uint16]fakeChip{0x76: bmp280(), 0x77: bmp280()}}
		hw := NewHardware(HardwareOptions{i2c: func(string) (transport, error) { return bus, nil }})
		for i := range 10 {
			add(NewSensor(Spec{Name: fmt.Sprint("sensor-", i), Type: "bmp280", Bus: fmt.Sprint(i / 2), Address: 0x76 + i%2, Interval: time.Second, Report: ReportAlways, Average: 1}, hw, testCommon()))
		}
		stop := runDevices(b, log, all...)
		<-time.After(2 * time.Second) // starting is not resting
		before, appended := cpuTime(b), log.Status().Appended
		<-time.After(measured)
		used, events := cpuTime(b)-before, log.Status().Appended-appended
		stop()
		if err := hw.Close(); err != nil {
			b.Error(err)
		}
		if want := uint64(10 * measured.Seconds()); events < want*9/10 {
			b.Fatalf("%d events, want about %d", events, want)
		}
		b.ReportMetric(100*used.Seconds()/measured.Seconds(), "%core")
	}
}

// cpuTime is what this process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

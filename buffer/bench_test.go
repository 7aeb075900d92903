package buffer

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"gateway"
)

// BenchmarkSubmit has one producer with a bounded number of events in flight and a consumer whose cursor follows, so
// that trimming is part of the load.
func BenchmarkSubmit(b *testing.B) {
	for _, flight := range []int{200, 500, 2000} {
		b.Run(fmt.Sprintf("flight=%d", flight), func(b *testing.B) { benchSubmit(b, flight) })
	}
}

func benchSubmit(b *testing.B, flight int) {
	l := openLog(b, Options{})
	mustCommit(b, l, gateway.Batch{Cursors: []gateway.CursorMove{{Name: "up", Offset: 0}}, KV: []gateway.KeyValue{{Key: "x", Value: []byte{1}}}})
	ctx := context.Background()
	slots := make(chan struct{}, flight)
	var acked atomic.Uint64
	done := func(last gateway.Offset, err error) {
		if err != nil {
			b.Error(err)
		}
		acked.Store(uint64(last))
		<-slots
	}
	stop := make(chan struct{})
	moved := make(chan struct{})
	go func() { // the consumer
		defer close(moved)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				_ = l.Submit(ctx, gateway.Batch{Cursors: []gateway.CursorMove{{Name: "up", Offset: gateway.Offset(acked.Load())}}}, func(gateway.Offset, error) {})
			}
		}
	}()
	w := newWalk(1)
	events := make([]gateway.Event, 1)
	before, io := l.Status(), writtenBytes()
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		slots <- struct{}{}
		events[0] = w.next()
		if err := l.Submit(ctx, gateway.Batch{Events: events}, done); err != nil {
			b.Fatal(err)
		}
	}
	for range flight {
		slots <- struct{}{}
	}
	b.StopTimer()
	close(stop)
	<-moved
	s := l.Status()
	n := float64(s.Appended - before.Appended)
	payload := float64(s.PayloadBytes - before.PayloadBytes)
	b.ReportMetric(n/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(n/float64(s.Commits-before.Commits), "events/commit")
	b.ReportMetric(float64(s.BlockBytes-before.BlockBytes)/payload, "block/payload")
	b.ReportMetric(float64(writtenBytes()-io)/payload, "device/payload")
	b.ReportMetric(float64(s.Bytes)/(1<<20), "MiB-disk")
	b.ReportMetric(rss("VmRSS:"), "MiB-rss")
	b.ReportMetric(rss("RssAnon:"), "MiB-anon")
}

// BenchmarkAppend is the latency of one event at a time, beside that of a bare append and fsync of as many bytes.
func BenchmarkAppend(b *testing.B) {
	data := bytes.Repeat([]byte("x"), 128)
	b.Run("log", func(b *testing.B) {
		l := openLog(b, Options{})
		for range b.N {
			if _, err := l.Append(context.Background(), event(string(data))); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("fsync", func(b *testing.B) {
		f, err := os.Create(b.TempDir() + "/file")
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		for range b.N {
			if _, err := f.Write(data); err != nil {
				b.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// writtenBytes is what this process had written to storage, by the kernel's count.
func writtenBytes() int64 { return int64(procNumber("/proc/self/io", "write_bytes:")) }

// rss is a line of /proc/self/status in MiB.
func rss(line string) float64 { return procNumber("/proc/self/status", line) / 1024 }

func procNumber(file, name string) float64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(text, []byte(name))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	v, _ := strconv.ParseFloat(string(fields[0]), 64)
	return v
}

package buffer

import (
	"context"
	"crypto/rand"
	"os"
	"strconv"
	"testing"
	"time"

	"gateway"
)

// BenchmarkBacklog appends events that nobody takes, opens the log again, reads all of them and lets them go. How many: GATEWAY_BACKLOG, 200,000
// otherwise. With GATEWAY_RANDOM=1 their data does not compress. -benchtime 1x.
func BenchmarkBacklog(b *testing.B) {
	n, err := strconv.Atoi(os.Getenv("GATEWAY_BACKLOG"))
	if err != nil {
		n = 200_000
	}
	for range b.N {
		benchBacklog(b, n, os.Getenv("GATEWAY_RANDOM") != "")
	}
}

func benchBacklog(b *testing.B, n int, random bool) {
	o := Options{Dir: b.TempDir()}
	l := openLog(b, o)
	settle(b, l, "up", 0)
	memory := func(what string) {
		s := l.Status()
		b.Logf("%-8s rss %.1f MiB, anon %.1f, file %.1f; disk %.1f MiB, blocks %.1f MiB; first %d last %d full %v", what, rss("VmRSS:"), rss("RssAnon:"), rss("RssFile:"),
			float64(s.Bytes)/(1<<20), float64(l.usage.live.Load())/(1<<20), s.First, s.Last, s.Full)
	}
	memory("empty")
	ctx := context.Background()
	slots := make(chan struct{}, 500)
	w := newWalk(1)
	start := time.Now()
	for range n {
		slots <- struct{}{}
		e := w.next()
		if random {
			_, _ = rand.Read(e.Data)
		}
		err := l.Submit(ctx, gateway.Batch{Events: []gateway.Event{e}}, func(_ gateway.Offset, err error) {
			if err != nil {
				b.Error(err)
			}
			<-slots
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	for range cap(slots) {
		slots <- struct{}{}
	}
	b.ReportMetric(float64(n)/time.Since(start).Seconds(), "append/s")
	memory("appended")
	start = time.Now()
	closeLog(b, l)
	b.Logf("closed in %s", time.Since(start))

	start = time.Now()
	l = openLog(b, o)
	mustAppend(b, l, event("more"))
	b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms-open")
	b.Logf("opened and appended in %s", time.Since(start))
	memory("opened")
	drain(b, l, gateway.Offset(n+1))
	memory("drained")
	waitFor(b, "the space comes back", func() bool { return l.Status().Bytes < 100<<20 })
	memory("settled")
}

// drain reads everything and moves the cursor behind it.
func drain(b *testing.B, l *Log, last gateway.Offset) {
	start := time.Now()
	r := l.NewReader(0)
	defer r.Close()
	at, peak := gateway.Offset(0), 0.0
	for at < last {
		entries, err := r.Next(context.Background(), 500)
		if err != nil {
			b.Fatal(err)
		}
		if entries[0].Offset != at+1 {
			b.Fatalf("got offset %d after %d", entries[0].Offset, at)
		}
		at = entries[len(entries)-1].Offset
		if err := l.Submit(context.Background(), gateway.Batch{Cursors: []gateway.CursorMove{{Name: "up", Offset: at}}}, func(gateway.Offset, error) {}); err != nil {
			b.Fatal(err)
		}
		if at%100_000 < 500 {
			peak = max(peak, rss("VmRSS:"))
		}
	}
	b.ReportMetric(float64(last)/time.Since(start).Seconds(), "read/s")
	b.ReportMetric(peak, "MiB-rss-drain")
	waitFor(b, "trim", func() bool { return l.Status().First == last+1 })
}

package devices

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"gateway"
)

// account adds up what was said of edges, and checks that the numbers have no hole that nobody spoke of.
func account(t interface {
	Helper()
	Fatalf(string, ...any)
}, events []gateway.Event, decode func(gateway.Event) map[string]any) (received, lost int) {
	t.Helper()
	next, after := 1.0, false
	for i, e := range events {
		m := decode(e)
		switch e.Type {
		case EventOverrun:
			if m["from_sequence"] != next || m["to_sequence"].(float64)-next+1 != m["lost"] {
				t.Fatalf("event %d: got an overrun of %v, want one from %v", i, m, next)
			}
			after = true
			lost += int(m["lost"].(float64))
			next = m["to_sequence"].(float64) + 1
		case EventInput:
			n, edge := m["sequence"]
			if !edge {
				continue
			}
			if n != next {
				t.Fatalf("event %d: got the edge %v, want %v", i, n, next)
			}
			if on := int(next)%2 == 1; (m["state"] == "on") != on {
				t.Fatalf("event %d: the edge %v says %v", i, n, m["state"])
			}
			if _, held := m["held_ns"]; held && after {
				t.Fatalf("event %d: says for how long it was on, although edges were lost: %v", i, m)
			}
			after = false
			received++
			next++
		}
	}
	return received, lost
}

// TestInputAccountsForEachEdgeOfAnOverrun stalls the log until the queue and the kernel's buffer are full.
func TestInputAccountsForEachEdgeOfAnOverrun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k, log, d, stop := startInput(t, inputSpec())
		log.set(func(l *slowLog) { l.full = true })
		const produced = 7001
		for range produced {
			k.toggle()
			synctest.Wait()
		}
		log.set(func(l *slowLog) { l.full = false })
		after(10 * time.Second)
		k.toggle()
		stop()
		events := log.taken()
		received, lost := account(t, events, func(e gateway.Event) map[string]any { return fields(t, e) })
		if received+lost != produced+1 || lost != k.dropped {
			t.Errorf("got %d received, %d lost, want %d together, and %d that the kernel dropped", received, lost, produced+1, k.dropped)
		}
		// What was read before, the queue, what the reader has in hand, and the kernel's buffer.
		if kept := 1 + edgeQueue + 1 + kernelBuffer; received < kept || received > kept+2*edgeBatch {
			t.Errorf("got %d received, want about %d", received, kept)
		}
		if s := d.Status(); s.Missed != uint64(lost) || s.Reads != uint64(received) || s.Value != "off" {
			t.Errorf("got the status %+v", s)
		}
		if log.appends > 3+received/edgeBatch*2 {
			t.Errorf("got %d appends for %d edges", log.appends, received)
		}
	})
}

// TestInputSaysTheLevelThatNoEdgeTold is for a kernel that lost the newest edges.
func TestInputSaysTheLevelThatNoEdgeTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k, log, _, stop := startInput(t, inputSpec())
		defer stop()
		k.mu.Lock()
		k.open.number += 4
		k.mu.Unlock()
		k.set(true)
		k.mu.Lock()
		k.level = false
		k.mu.Unlock()
		after(time.Second)
		wantSaid(t, log, "off start", "lost 4: 1-4", "on rising", "off overrun")
	})
}

// TestReceivedAndReportedIsProduced has any number of edges, a log that stalls and is full, and small buffers.
func TestReceivedAndReportedIsProduced(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.IntRange(0, 9), 1, 40).Draw(rt, "steps")
		sizes := rapid.Uint64().Draw(rt, "seed")
		long := rapid.Bool().Draw(rt, "long press")
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(sizes, 1))
			k, log := newFakeKernel(), &slowLog{}
			spec := inputSpec()
			if long {
				spec.LongPress = 20 * time.Millisecond
			}
			d, err := NewInput(spec, k, testCommon())
			if err != nil {
				rt.Fatal(err)
			}
			k.most, d.(*input).queue = 32, 64
			stop := running(t, d, log)
			synctest.Wait()
			for _, step := range steps {
				switch step {
				case 0:
					log.set(func(l *slowLog) { l.full = !l.full })
				case 1:
					log.set(func(l *slowLog) { l.takes = time.Duration(rng.Int64N(int64(2 * time.Second))) })
				case 2:
					log.set(func(l *slowLog) { l.takes = 0 })
				case 3:
					after(time.Duration(rng.Int64N(int64(3 * time.Second))))
				default:
					gap := time.Duration(rng.Int64N(int64(10 * time.Millisecond)))
					for range rng.IntN(150) {
						k.toggle()
						if step > 5 {
							<-time.After(gap / 100)
						}
					}
				}
			}
			log.set(func(l *slowLog) { l.full, l.takes = false, 0 })
			after(5 * time.Second)
			stop()
			events := log.taken()
			received, lost := account(rt, events, func(e gateway.Event) map[string]any { return fields(t, e) })
			// The newest edge tells of those before it, so nothing is open at the end.
			if received+lost != k.produced || lost != k.dropped {
				rt.Fatalf("got %d received, %d lost; %d were produced and %d dropped", received, lost, k.produced, k.dropped)
			}
			if on := fields(t, events[len(events)-1])["state"] == "on"; on != k.level {
				rt.Fatalf("the last event says on: %v, but the level is %v", on, k.level)
			}
		})
	})
}

func TestInputAppendsWhatItHasReadWhenItIsStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, queue := range []int{edgeQueue, 8} {
			k, log := newFakeKernel(), &slowLog{takes: 100 * time.Millisecond}
			d, err := NewInput(inputSpec(), k, testCommon())
			if err != nil {
				t.Fatal(err)
			}
			d.(*input).queue = queue
			stop := running(t, d, log)
			synctest.Wait()
			for range 700 {
				k.toggle()
				if queue == edgeQueue {
					synctest.Wait()
				}
			}
			synctest.Wait()
			stop()
			received, _ := account(t, log.taken(), func(e gateway.Event) map[string]any { return fields(t, e) })
			if received != k.given || received <= queue && received != 700 {
				t.Errorf("got %d edges, want the %d that were read", received, k.given)
			}
		}
	})
}

func TestInputEndsWithItsLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k, log := newFakeKernel(), &slowLog{broken: gateway.ErrClosed}
		d, err := NewInput(inputSpec(), k, testCommon())
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Run(t.Context(), log); err == nil || k.open != nil {
			t.Errorf("Run ended with %v, line open: %v", err, k.open != nil)
		}
	})
	synctest.Test(t, func(t *testing.T) { // a stop does not wait for ever for a full one
		_, log, _, stop := startInput(t, inputSpec())
		log.set(func(l *slowLog) { l.full = true })
		began := time.Now()
		stop()
		if took := time.Since(began); took > stopGrace+fullPause {
			t.Errorf("the stop took %v", took)
		}
	})
}

// latencies runs 1,000 edges a second into a log that takes a millisecond to commit, and returns how long each took from the edge to the log, sorted.
func latencies(ctx context.Context, edges int, spec Spec, k *fakeKernel) ([]time.Duration, error) {
	log := &slowLog{takes: time.Millisecond}
	d, err := NewInput(spec, k, testCommon())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx, log) }()
	for tick := time.NewTicker(time.Millisecond); edges > 0; edges-- {
		<-tick.C
		k.toggle()
	}
	cancel()
	if err := <-done; err != nil {
		return nil, err
	}
	var all []time.Duration
	for i, e := range log.events {
		all = append(all, log.at[i].Sub(e.Time))
	}
	slices.Sort(all)
	return all, nil
}

func TestInputSustainsAThousandEdgesASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		all, err := latencies(t.Context(), 10000, inputSpec(), newFakeKernel())
		if err != nil || len(all) != 10001 {
			t.Fatalf("got %d events, %v", len(all), err)
		}
		if p99 := all[len(all)*99/100]; p99 > 2*time.Millisecond {
			t.Errorf("p99 from edge to log is %v, of which 1 ms is the log's", p99)
		}
	})
}

// BenchmarkInputLatency is the same by the real clock.
func BenchmarkInputLatency(b *testing.B) {
	for b.Loop() {
		all, err := latencies(b.Context(), 3000, inputSpec(), newFakeKernel())
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(all[len(all)/2].Microseconds()), "µs-p50")
		b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "µs-p99")
		b.ReportMetric(float64(all[len(all)-1].Microseconds()), "µs-max")
		b.ReportMetric(float64(len(all)), "events")
	}
}

package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"gateway"
	"gateway/buffer"
	"gateway/test/rig"
)

const (
	diskEvery = 100 * time.Millisecond
	restEvery = time.Second
)

// point is a sample.
type point struct {
	at        time.Duration
	disk      int64 // the most of the last second, bytes
	memory    rig.Memory
	events    uint64 // acknowledged since the start
	waiting   []uint64
	perSecond float64
}

// sampler looks at the directory every 100 ms, and at the rest every second.
type sampler struct {
	dir       string
	log       *buffer.Log
	intake    *intake
	consumers []*consumer
	maxSize   int64

	points  []point
	worst   atomic.Int64 // of all samples of the disk
	samples int
	over    int // samples above the bound
}

// bound is what no sample may exceed.
func (s *sampler) bound() int64 { return s.maxSize + s.maxSize/10 }

// small is what is left, at most, when everything was delivered.
func (s *sampler) small() int64 { return min(s.maxSize/2, s.worst.Load()*3/4) }

// run samples until ctx ends.
func (s *sampler) run(ctx context.Context) error {
	tick := time.NewTicker(diskEvery)
	defer tick.Stop()
	due, most := restEvery, int64(0)
	for {
		disk, err := dirSize(s.dir)
		if err != nil {
			return err
		}
		s.samples++
		most = max(most, disk)
		s.worst.Store(max(s.worst.Load(), disk))
		if disk > s.bound() {
			s.over++
		}
		if at := time.Since(s.intake.started); at >= due {
			if err := s.rest(at, most); err != nil {
				return err
			}
			due, most = at.Truncate(restEvery)+restEvery, 0
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s *sampler) rest(at time.Duration, disk int64) error {
	memory, err := rig.MemoryOf(os.Getpid())
	if err != nil {
		return err
	}
	status := s.log.Status()
	p := point{at: at, disk: disk, memory: memory, events: s.intake.total()}
	if n := len(s.points); n > 0 {
		before := s.points[n-1]
		p.perSecond = float64(p.events-before.events) / (at - before.at).Seconds()
	}
	for _, c := range s.consumers {
		p.waiting = append(p.waiting, waiting(status, c.settled.Load()))
	}
	s.points = append(s.points, p)
	s.tell(p)
	return nil
}

// waiting is how many events a consumer at settled still can have: what was dropped waits no more.
func waiting(status gateway.LogStatus, settled uint64) uint64 {
	if first := uint64(status.First); settled+1 < first {
		settled = first - 1
	}
	return uint64(status.Last) - min(settled, uint64(status.Last))
}

// tell shows how it goes: over and over in one line of a terminal, every ten seconds elsewhere.
func (s *sampler) tell(p point) {
	text := fmt.Sprintf("%6s  %9.0f events/s  disk %5.1f MiB  memory %5.1f MiB  p99 %6.1f ms ", p.at.Truncate(time.Second), p.perSecond,
		mib(p.disk), mib(p.memory.Anon), millis(s.intake.p99(p.at.Truncate(window)-window, p.at.Truncate(window))))
	var b strings.Builder
	b.WriteString(text)
	for i, c := range s.consumers {
		fmt.Fprintf(&b, " %s %.2f M", c.name, float64(p.waiting[i])/1e6)
	}
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		fmt.Fprintf(os.Stderr, "\r%s\x1b[K", b.String())
		return
	}
	if int(p.at.Seconds())%10 == 0 {
		fmt.Fprintln(os.Stderr, b.String())
	}
}

// median is that of a value of the points between two moments.
func (s *sampler) median(from, to time.Duration, value func(point) float64) float64 {
	var v []float64
	for _, p := range s.points {
		if p.at >= from && p.at <= to {
			v = append(v, value(p))
		}
	}
	if len(v) == 0 {
		return 0
	}
	slices.SortFunc(v, cmp.Compare[float64])
	return v[len(v)/2]
}

// dirSize is what dir and all below it take on disk, as du counts it: allocated blocks.
func dirSize(dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil {
			return nil // files come and go while the log works
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			size += st.Blocks * 512
		}
		return nil
	})
	return size, err
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

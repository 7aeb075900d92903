package load

import (
	"math/bits"
	"time"
)

// histogram counts durations in buckets that are at most 1.6 % wide. It belongs to one goroutine.
type histogram struct {
	counts [60 * 64]uint64
	total  uint64
	max    time.Duration
}

func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucket(uint64(d))]++
	h.total++
	h.max = max(h.max, d)
}

func bucket(v uint64) int {
	if v < 64 {
		return int(v)
	}
	shift := bits.Len64(v) - 7
	return (shift+1)*64 + int(v>>shift) - 64
}

// lower is the smallest duration of a bucket.
func lower(b int) time.Duration {
	if b < 64 {
		return time.Duration(b)
	}
	shift := b/64 - 1
	return time.Duration(uint64(b%64+64) << shift)
}

func (h *histogram) merge(o *histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.total += o.total
	h.max = max(h.max, o.max)
}

// quantile returns the duration that the share q of all is below or at, 0 if there are none.
func (h *histogram) quantile(q float64) time.Duration {
	want, seen := uint64(q*float64(h.total)), uint64(0)
	for b, n := range h.counts {
		if seen += n; n > 0 && seen > want {
			return lower(b)
		}
	}
	return h.max
}

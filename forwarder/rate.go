package forwarder

import "time"

// rate is how much happens in a second, lately: two buckets of rateSpan.
type rate struct {
	since         time.Time
	count, before uint64
}

const rateSpan = 10 * time.Second

func (r *rate) add(n uint64, now time.Time) {
	r.turn(now)
	r.count += n
}

func (r *rate) turn(now time.Time) {
	switch age := now.Sub(r.since); {
	case age >= 2*rateSpan:
		r.since, r.count, r.before = now, 0, 0
	case age >= rateSpan:
		r.since, r.before, r.count = r.since.Add(rateSpan), r.count, 0
	}
}

func (r *rate) now(now time.Time) float64 {
	if r.since.IsZero() {
		return 0
	}
	r.turn(now)
	age := now.Sub(r.since).Seconds()
	if r.before == 0 {
		return float64(r.count) / max(age, 1)
	}
	return float64(r.count+r.before) / (age + rateSpan.Seconds())
}

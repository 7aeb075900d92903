package forwarder

import (
	"fmt"
	"math"
	"time"
)

// Rate bounds what is sent in a second. 0: no bound.
type Rate struct {
	Bytes  int64
	Events int64
}

// Budget is what a line may carry. The zero Budget has no bounds.
type Budget struct {
	// Total bounds all that is sent, Backlog what has waited.
	Total, Backlog Rate
	// Burst is how long a line may be idle and make up for it: so much of a second's rate is saved at most. 0: a twentieth of a second.
	Burst time.Duration
	// Month is how many bytes may be sent in a calendar month (UTC), 0 for no bound: a SIM card's.
	Month int64
	// Urgent is the priority from which on events pass all bounds, though they count; 0: none does.
	Urgent int
	// Schedule are the times of day in which the backlog is sent; none: always.
	Schedule []Window
}

// Window is a part of the day, in the local time zone, from From to To after midnight. If To is before From it goes past midnight.
type Window struct{ From, To time.Duration }

func (w Window) has(at time.Duration) bool {
	if w.From <= w.To {
		return at >= w.From && at < w.To
	}
	return at >= w.From || at < w.To
}

const defaultBurst = 50 * time.Millisecond

// bucket is what may be sent now, and fills with time.
type bucket struct {
	rate, burst float64 // a second; the most that is in it
	level       float64
	filled      time.Time
}

func newBucket(rate int64, burst time.Duration, now time.Time) *bucket {
	if rate <= 0 {
		return nil
	}
	b := &bucket{rate: float64(rate), filled: now}
	b.burst = max(b.rate*burst.Seconds(), 1)
	b.level = b.burst
	return b
}

func (b *bucket) fill(now time.Time) {
	if d := now.Sub(b.filled).Seconds(); d > 0 {
		b.level = min(b.level+d*b.rate, b.burst)
		b.filled = now
	}
}

// wait is how long until n may be taken. More than the bucket ever holds is taken when it is full; it owes the rest.
func (b *bucket) wait(n float64, now time.Time) time.Duration {
	if b == nil {
		return 0
	}
	b.fill(now)
	need := min(n, b.burst) - b.level
	if need <= 0 {
		return 0
	}
	return time.Duration(need/b.rate*float64(time.Second)) + time.Microsecond
}

func (b *bucket) take(n float64, now time.Time) {
	if b != nil {
		b.fill(now)
		b.level = min(b.level-n, b.burst) // n is less than 0 for what is given back
	}
}

// holds is how much may be taken at once, 0 for no bound.
func (b *bucket) holds() int {
	if b == nil {
		return 0
	}
	return int(b.burst)
}

// meter counts what is sent against a budget. Its user sees to it that one goroutine at a time calls it.
type meter struct {
	budget                                     Budget
	bytes, events, backlogBytes, backlogEvents *bucket
	month                                      spent
}

// spent is what was sent in a month.
type spent struct {
	Month string `json:"month"` // 2006-01
	Bytes int64  `json:"bytes"`
}

func newMeter(b Budget, month spent, now time.Time) *meter {
	if b.Burst <= 0 {
		b.Burst = defaultBurst
	}
	return &meter{
		budget: b, month: month,
		bytes: newBucket(b.Total.Bytes, b.Burst, now), events: newBucket(b.Total.Events, b.Burst, now),
		backlogBytes: newBucket(b.Backlog.Bytes, b.Burst, now), backlogEvents: newBucket(b.Backlog.Events, b.Burst, now),
	}
}

// free says that nothing is bounded.
func (m *meter) free() bool {
	return m.bytes == nil && m.events == nil && m.backlogBytes == nil && m.backlogEvents == nil && m.budget.Month == 0 && len(m.budget.Schedule) == 0
}

// limits are how many bytes and events may be sent at once, 0 for no bound.
func (m *meter) limits(backlog bool, priority int) (bytes, events int) {
	least := func(a, b int) int {
		if a == 0 || b != 0 && b < a {
			return b
		}
		return a
	}
	bytes, events = m.bytes.holds(), m.events.holds()
	if backlog {
		bytes, events = least(bytes, m.backlogBytes.holds()), least(events, m.backlogEvents.holds())
	}
	if left := m.budget.Month - m.month.Bytes; left > 0 && !m.urgent(priority) {
		bytes = least(bytes, int(min(left, math.MaxInt32)))
	}
	return bytes, events
}

// wait is how long until so much may be sent, and what for; 0 if at once.
func (m *meter) wait(bytes, events int, backlog bool, priority int, now time.Time) (d time.Duration, why string) {
	if m.urgent(priority) {
		return 0, ""
	}
	longer := func(other time.Duration, reason string) {
		if other > d {
			d, why = other, reason
		}
	}
	m.turn(now)
	if m.budget.Month > 0 && m.month.Bytes+int64(bytes) > m.budget.Month {
		longer(nextMonth(now).Sub(now), fmt.Sprintf("the month's %d bytes are spent", m.budget.Month))
	}
	longer(m.bytes.wait(float64(bytes), now), "")
	longer(m.events.wait(float64(events), now), "")
	if backlog {
		longer(m.backlogBytes.wait(float64(bytes), now), "")
		longer(m.backlogEvents.wait(float64(events), now), "")
		longer(m.closed(now))
	}
	return d, why
}

func (m *meter) urgent(priority int) bool { return m.budget.Urgent > 0 && priority >= m.budget.Urgent }

// take counts what is sent.
func (m *meter) take(bytes, events int, backlog bool, now time.Time) {
	m.turn(now)
	m.month.Bytes = max(m.month.Bytes+int64(bytes), 0)
	m.bytes.take(float64(bytes), now)
	m.events.take(float64(events), now)
	if backlog {
		m.backlogBytes.take(float64(bytes), now)
		m.backlogEvents.take(float64(events), now)
	}
}

// turn begins a new month. A clock that goes back does not begin an old one anew.
func (m *meter) turn(now time.Time) {
	if month := now.UTC().Format("2006-01"); month > m.month.Month {
		m.month = spent{Month: month}
	}
}

// closed is how long until the backlog's schedule opens.
func (m *meter) closed(now time.Time) (time.Duration, string) {
	if len(m.budget.Schedule) == 0 {
		return 0, ""
	}
	local := now.Local()
	midnight := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, local.Location())
	at := local.Sub(midnight)
	soonest := 24 * time.Hour
	for _, w := range m.budget.Schedule {
		if w.has(at) {
			return 0, ""
		}
		soonest = min(soonest, (w.From-at+24*time.Hour)%(24*time.Hour))
	}
	return max(soonest, time.Second), "the backlog's schedule is closed"
}

func nextMonth(now time.Time) time.Time {
	u := now.UTC()
	return time.Date(u.Year(), u.Month()+1, 1, 0, 0, 0, 0, time.UTC)
}

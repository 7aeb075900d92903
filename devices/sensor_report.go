package devices

import (
	"math"
	"slices"
	"time"
)

// worthwhile says whether a reading is to be reported.
func (s *sensor) worthwhile(now time.Time, readings []Reading) bool {
	if s.spec.Report == ReportAlways || s.spec.Report == "" || s.told.IsZero() {
		return true
	}
	// The heartbeat falls on a turn of the schedule, which is never quite a whole number of intervals after the turn before.
	if s.spec.Heartbeat > 0 && now.Sub(s.told) >= s.spec.Heartbeat-s.spec.Interval/2 {
		return true
	}
	if len(readings) != len(s.last) {
		return true
	}
	return slices.ContainsFunc(readings, s.moved)
}

// moved says whether r differs from what was last reported, and by as much as counts.
func (s *sensor) moved(r Reading) bool {
	i := slices.IndexFunc(s.last, func(l Reading) bool { return l.Quantity == r.Quantity })
	if i < 0 {
		return true
	}
	by := math.Abs(r.Value - s.last[i].Value)
	if s.spec.Report == ReportDeadband {
		return by > 0 && by >= s.adjust[r.Quantity].Deadband-1e-9 // 20.3-20.1 is less than 0.2
	}
	return by > 0
}

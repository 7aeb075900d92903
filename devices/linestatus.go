package devices

import (
	"sync"
	"time"

	"gateway"
)

// lineStatus is the status of a device on a line. Safe for concurrent use.
type lineStatus struct {
	mu sync.Mutex
	s  gateway.DeviceStatus
}

func newLineStatus(s *Spec) *lineStatus {
	return &lineStatus{s: gateway.DeviceStatus{Name: s.Name, Type: s.Type, Where: s.line(), State: gateway.DeviceStarting, Since: time.Now()}}
}

func (l *lineStatus) snapshot() gateway.DeviceStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.s
}

func (l *lineStatus) change(fn func(*gateway.DeviceStatus)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fn(&l.s)
}

// enter says that the device is in another state; it returns the one that it was in, and since when.
func (l *lineStatus) enter(state, fault string) (before string, since time.Time) {
	l.change(func(s *gateway.DeviceStatus) {
		before, since = s.State, s.Since
		if state != s.State {
			s.State, s.Since = state, time.Now()
		}
		if state == gateway.DeviceFault && before == gateway.DeviceOK {
			s.Faults++
		}
		s.Fault = fault
	})
	return before, since
}

// line is where the device is, as people read it.
func (s *Spec) line() string {
	if s.Chip == "" {
		return s.Pin
	}
	return s.Pin + " of " + s.Chip
}

// levelWord is a level as events and the status say it.
func levelWord(on bool) string {
	if on {
		return OutputOn
	}
	return OutputOff
}

package devices

import (
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"gateway"
)

// outage is a time in which a device, or one of its quantities, does not work.
type outage struct {
	class    string
	since    time.Time
	attempts int           // to read since then
	again    time.Duration // until the next one, of a device
}

// How long a device that failed is left alone: the first doubles up to the last.
const (
	firstProbe = time.Second
	lastProbe  = time.Minute
)

// faultData is the data of an event of type EventFault.
type faultData struct {
	Device string `json:"device"`
	Type   string `json:"type"`
	Where  string `json:"where"`
	// Quantity is what is out of range; "": the whole device does not work.
	Quantity string    `json:"quantity,omitempty"`
	Class    string    `json:"class"`
	Cause    string    `json:"cause"`
	Since    time.Time `json:"since"`
	Hint     string    `json:"hint,omitempty"`
}

// recoveredData is the data of an event of type EventRecovered.
type recoveredData struct {
	Device   string    `json:"device"`
	Type     string    `json:"type"`
	Where    string    `json:"where"`
	Quantity string    `json:"quantity,omitempty"`
	Class    string    `json:"class"`
	Since    time.Time `json:"since"`
	// Down is in seconds; Attempts are those that failed.
	Down     float64 `json:"down_seconds"`
	Attempts int     `json:"attempts"`
}

// failed is a reading that did not work. A fault is told when it begins and when it becomes one of another class, not at each attempt.
func (s *sensor) failed(now time.Time, err error) []gateway.Event {
	class, hint := classify(err)
	begun := s.down == nil
	if begun {
		s.down = &outage{since: now}
		s.update(func(status *gateway.DeviceStatus) { status.Faults++ })
	}
	s.down.again = probeIn(s.down.attempts)
	s.down.attempts++
	s.state(gateway.DeviceFault, err.Error(), now)
	if s.down.class == class {
		return nil
	}
	s.down.class = class
	s.report.logger.Warn("the device does not work", "where", s.driver.where(&s.spec), "class", class, "error", err, "hint", hint)
	return []gateway.Event{s.faultEvent(now, "", class, err.Error(), hint, s.down.since)}
}

// probeIn is how long to wait after so many attempts before: with jitter, so that devices that failed together do not come together.
func probeIn(attempts int) time.Duration {
	d := lastProbe
	if attempts < 6 {
		d = firstProbe << attempts
	}
	return d/2 + rand.N(d/2+1)
}

// works is a reading that did.
func (s *sensor) works(now time.Time) []gateway.Event {
	if s.down == nil {
		return nil
	}
	event := s.recoveredEvent(now, "", s.down)
	s.report.logger.Info("the device works again", "class", s.down.class, "down", now.Sub(s.down.since), "attempts", s.down.attempts)
	s.down = nil
	return []gateway.Event{event}
}

// inRange tells quantities that went out of range, and those that came back; bad has the cause by name. The others are not touched by that.
func (s *sensor) inRange(now time.Time, bad map[string]string) []gateway.Event {
	var events []gateway.Event
	for _, q := range slices.Sorted(maps.Keys(s.ranges)) {
		if _, still := bad[q]; still {
			continue
		}
		events = append(events, s.recoveredEvent(now, q, s.ranges[q]))
		s.report.logger.Info("the quantity is in its range again", "quantity", q, "down", now.Sub(s.ranges[q].since))
		delete(s.ranges, q)
	}
	fault := ""
	for _, q := range slices.Sorted(maps.Keys(bad)) {
		if fault == "" {
			fault = q + ": " + bad[q]
		}
		if o := s.ranges[q]; o != nil {
			o.attempts++
			continue
		}
		s.ranges[q] = &outage{class: FaultRange, since: now, attempts: 1}
		s.update(func(status *gateway.DeviceStatus) { status.Faults++ })
		s.report.logger.Warn("the quantity is out of its range", "quantity", q, "cause", bad[q])
		events = append(events, s.faultEvent(now, q, FaultRange, bad[q], hintOf(FaultRange), now))
	}
	state := gateway.DeviceOK
	if fault != "" {
		state = gateway.DeviceFault
	}
	s.state(state, fault, now)
	return events
}

func (s *sensor) faultEvent(now time.Time, quantity, class, cause, hint string, since time.Time) gateway.Event {
	return s.report.event(EventFault, now, faultData{
		Device: s.spec.Name, Type: s.spec.Type, Where: s.driver.where(&s.spec), Quantity: quantity, Class: class, Cause: cause, Since: since.UTC(), Hint: hint,
	})
}

func (s *sensor) recoveredEvent(now time.Time, quantity string, o *outage) gateway.Event {
	return s.report.event(EventRecovered, now, recoveredData{
		Device: s.spec.Name, Type: s.spec.Type, Where: s.driver.where(&s.spec), Quantity: quantity, Class: o.class, Since: o.since.UTC(),
		Down: roundTo(now.Sub(o.since).Seconds(), 3), Attempts: o.attempts,
	})
}

package devices

import (
	"fmt"
	"strconv"
	"time"
)

// pace is how fast pulses come, by their own times: exact also where an interval has few of them, or none.
type pace struct {
	from, last pulse
	known      float64 // a second, when pulses came last; 0 before
}

// pulse is when the total was reached.
type pulse struct {
	at    time.Duration
	total uint64
	ok    bool
}

// slowest is how many times the usual time between pulses may pass without one until the rate is 0.
const slowest = 10

func (p *pace) edge(at time.Duration, total uint64) {
	p.last = pulse{at, total, true}
	if !p.from.ok {
		p.from = p.last
	}
}

// rate is the mean from the last pulse of the interval before to that of this one. Without a pulse it is at most what one that comes now would make it. It
// is not known before there were two pulses.
func (p *pace) rate(now time.Duration) (perSecond float64, ok bool) {
	known := p.now()
	if known == 0 {
		return 0, false
	}
	quiet := (now - p.last.at).Seconds()
	switch {
	case quiet*known <= 1:
		return known, true
	case quiet*known > slowest:
		return 0, true
	}
	return 1 / quiet, true
}

func (p *pace) now() float64 {
	if span := (p.last.at - p.from.at).Seconds(); span > 0 {
		return float64(p.last.total-p.from.total) / span
	}
	return p.known
}

// told begins another interval.
func (p *pace) told() { p.known, p.from = p.now(), p.last }

// meter is what a meter with that many pulses shows, rounded to twelve digits so that it has no binary fractions.
func (s *Spec) meter(total uint64) float64 {
	value := float64(total) * s.PerPulse
	for _, a := range s.Adjust {
		if a.Quantity == s.Quantity {
			value = value*a.Scale + a.Offset
		}
	}
	return roundDigits(value)
}

// hourly is a rate in the counter's unit an hour.
func (s *Spec) hourly(perSecond float64) float64 {
	value := perSecond * 3600 * s.PerPulse
	for _, a := range s.Adjust {
		if a.Quantity == s.Quantity {
			value *= a.Scale
		}
	}
	return roundDigits(value)
}

func (s *Spec) meterText(total uint64, rate float64, paced bool) string {
	text := fmt.Sprint(s.meter(total), " ", s.Unit)
	if paced {
		text += fmt.Sprintf(", %.4g %s/h", s.hourly(rate), s.Unit)
	}
	return text
}

func roundDigits(v float64) float64 {
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 12, 64), 64)
	if err != nil {
		return v
	}
	return rounded
}

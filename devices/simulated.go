package devices

import (
	"math/rand/v2"
	"time"

	"periph.io/x/conn/v3/physic"
)

// Reading is one measured value.
type Reading struct {
	// Quantity says what was measured, such as "temperature".
	Quantity string
	// Value is in Unit, and has no more digits than the sensor would have.
	Value float64
	// Unit is a case-sensitive code of UCUM, such as "Cel", "%" or "kW.h".
	Unit string
}

// Simulated is a sensor made of formulas and a seed: with the same seed and the same times it reads the same. It
// belongs to one goroutine.
type Simulated struct {
	name     string
	start    time.Time
	speed    float64 // simulated time for each moment of the clock
	channels []channel
}

// channel is one quantity of a sensor: value is in unit and rounded to multiples of step, both in periph's fixed point.
type channel struct {
	quantity, ucum string
	value          waveform
	unit, step     int64
}

// Volumes, which periph does not have, in its manner.
const (
	milliLitre int64 = 1
	litre            = 1000 * milliLitre
	cubicMetre       = 1000 * litre
)

// Simulations makes five sensors of a small greenhouse: climate, soil, water tank, water meter and power meter. day is how long a
// day of theirs takes (24 hours in nature, a minute in a demo), start the time of their midnight.
func Simulations(seed uint64, start time.Time, day time.Duration) []*Simulated {
	rng := func(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }
	const hour, whole = time.Hour, 24 * time.Hour
	kinds := []struct {
		name     string
		channels []channel
	}{
		{"climate", []channel{
			{"temperature", "Cel", both{&sine{21, 6, whole, 8 * hour}, &walk{rng: rng(1), spread: 0.3, low: -2, high: 2, pull: hour / 4}}, int64(physic.Kelvin), int64(10 * physic.MilliKelvin)},
			{"humidity", "%", both{&sine{64, -14, whole, 8 * hour}, &walk{rng: rng(2), spread: 1, low: -6, high: 6, pull: hour / 4}}, int64(physic.PercentRH), int64(physic.MilliRH)},
		}},
		{"soil", []channel{
			{"moisture", "%", both{&saw{24, 41, 20 * hour, hour}, &walk{rng: rng(3), spread: 0.4, low: -2, high: 2, pull: hour}}, int64(physic.PercentRH), int64(physic.MilliRH)},
			{"temperature", "Cel", &sine{17, 2, whole, 11 * hour}, int64(physic.Kelvin), int64(100 * physic.MilliKelvin)},
		}},
		{"tank", []channel{
			{"level", "m", both{&saw{0.35, 1.80, 10 * hour, 2 * hour}, &walk{rng: rng(4), spread: 0.004, low: -0.02, high: 0.02, pull: hour / 60}}, int64(physic.Metre), int64(physic.MilliMetre)},
		}},
		{"water", []channel{
			{"volume", "m3", &total{rate: &steps{rng: rng(5), levels: []float64{0, 0.12, 0.45, 1.1}, shortest: hour / 6, longest: 2 * hour}}, cubicMetre, litre},
		}},
		{"power", []channel{
			{"power", "W", both{&steps{rng: rng(6), levels: []float64{85, 430, 1210, 2350}, shortest: hour / 4, longest: 3 * hour}, &walk{rng: rng(7), spread: 6, low: -40, high: 40, pull: hour / 30}}, int64(physic.Watt), int64(physic.Watt)},
		}},
	}
	all := make([]*Simulated, len(kinds))
	for i, kind := range kinds {
		all[i] = &Simulated{name: kind.name, start: start, speed: float64(whole) / float64(day), channels: kind.channels}
	}
	return all
}

// Name is the kind of the sensor, such as "climate".
func (s *Simulated) Name() string { return s.name }

// Read measures. now does not fall from call to call, and is not before the start.
func (s *Simulated) Read(now time.Time) []Reading {
	elapsed := time.Duration(float64(now.Sub(s.start)) * s.speed)
	readings := make([]Reading, len(s.channels))
	for i, c := range s.channels {
		readings[i] = Reading{c.quantity, c.round(c.value.at(elapsed)), c.ucum}
	}
	return readings
}

// round returns value with the digits of the sensor. Whole steps keep the binary fraction out of the decimals.
func (c *channel) round(value float64) float64 {
	steps := int64(value * float64(c.unit) / float64(c.step))
	return float64(steps*c.step) / float64(c.unit)
}

package devices

import (
	"math"
	"math/rand/v2"
	"time"
)

// waveform is a value over time. at is called with times that never fall; the same calls give the same values.
type waveform interface {
	at(elapsed time.Duration) float64
}

// sine swings around mean once a period, at its highest a quarter of a period after delay.
type sine struct {
	mean, swing   float64
	period, delay time.Duration
}

func (w *sine) at(elapsed time.Duration) float64 {
	turn := float64(elapsed-w.delay) / float64(w.period)
	return w.mean + w.swing*math.Sin(2*math.Pi*turn)
}

// walk wanders at random around mean: pulled back within about the time pull, spread away from it by about spread,
// never below low or above high (an Ornstein-Uhlenbeck process).
type walk struct {
	rng                     *rand.Rand
	mean, spread, low, high float64
	pull                    time.Duration

	away float64 // from mean
	last time.Duration
}

func (w *walk) at(elapsed time.Duration) float64 {
	keep := math.Exp(-float64(elapsed-w.last) / float64(w.pull))
	w.away = w.away*keep + w.spread*math.Sqrt(1-keep*keep)*w.rng.NormFloat64()
	w.last = elapsed
	return min(max(w.mean+w.away, w.low), w.high)
}

// steps keeps one of levels for a random time between shortest and longest, then takes another.
type steps struct {
	rng               *rand.Rand
	levels            []float64
	shortest, longest time.Duration

	level int
	until time.Duration
}

func (w *steps) at(elapsed time.Duration) float64 {
	for elapsed >= w.until {
		w.level = (w.level + 1 + w.rng.IntN(len(w.levels)-1)) % len(w.levels)
		w.until += w.shortest + time.Duration(w.rng.Int64N(int64(w.longest-w.shortest)))
	}
	return w.levels[w.level]
}

// saw falls from high to low at a steady rate within fall, climbs back within rise, and so on.
type saw struct {
	low, high  float64
	fall, rise time.Duration
}

func (w *saw) at(elapsed time.Duration) float64 {
	in := elapsed % (w.fall + w.rise)
	if in < w.fall {
		return w.high - (w.high-w.low)*float64(in)/float64(w.fall)
	}
	return w.low + (w.high-w.low)*float64(in-w.fall)/float64(w.rise)
}

// total is what rate, per hour, has added up to.
type total struct {
	rate waveform

	sum  float64
	last time.Duration
}

func (w *total) at(elapsed time.Duration) float64 {
	w.sum += max(w.rate.at(elapsed), 0) * (elapsed - w.last).Hours()
	w.last = elapsed
	return w.sum
}

// both is the sum of two.
type both struct{ a, b waveform }

func (w both) at(elapsed time.Duration) float64 { return w.a.at(elapsed) + w.b.at(elapsed) }

package devices

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var midnight = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

func TestTheSameSeedReadsTheSame(t *testing.T) {
	t.Parallel()
	one, same, other := Simulations(7, midnight, time.Minute), Simulations(7, midnight, time.Minute), Simulations(8, midnight, time.Minute)
	differs := false
	for i := range 500 {
		now := midnight.Add(time.Duration(i) * 50 * time.Millisecond)
		for k := range one {
			a := one[k].Read(now)
			if b := same[k].Read(now); !slices.Equal(a, b) {
				t.Fatalf("%s at %v: got %v and %v with the same seed", one[k].Name(), now, a, b)
			}
			differs = differs || !slices.Equal(a, other[k].Read(now))
		}
	}
	if !differs {
		t.Error("another seed read the same")
	}
}

func TestReadingsArePlausible(t *testing.T) {
	t.Parallel()
	// What a reading can be, how many decimals it may show, and how far it goes at least within a day.
	limits := map[string]struct {
		low, high float64
		decimals  int
		unit      string
		moves     float64
	}{
		"climate temperature": {10, 32, 2, "Cel", 8},
		"climate humidity":    {40, 90, 1, "%", 15},
		"soil moisture":       {20, 45, 1, "%", 8},
		"soil temperature":    {14, 20, 1, "Cel", 3},
		"tank level":          {0.3, 1.9, 3, "m", 1},
		"water volume":        {0, 60, 3, "m3", 0.5},
		"power power":         {40, 2400, 0, "W", 300},
	}
	for seed := range uint64(5) {
		seen := map[string][]float64{}
		for _, s := range Simulations(seed, midnight, 24*time.Hour) {
			for minute := range 24 * 60 {
				for _, r := range s.Read(midnight.Add(time.Duration(minute) * time.Minute)) {
					key := s.Name() + " " + r.Quantity
					want, known := limits[key]
					if !known || r.Unit != want.unit || r.Value < want.low || r.Value > want.high {
						t.Fatalf("seed %d, %s, minute %d: got %v, want within %+v", seed, key, minute, r, want)
					}
					text := strconv.FormatFloat(r.Value, 'f', -1, 64)
					if _, decimals, _ := strings.Cut(text, "."); len(decimals) > want.decimals {
						t.Fatalf("seed %d, %s: got %s, want at most %d decimals", seed, key, text, want.decimals)
					}
					seen[key] = append(seen[key], r.Value)
				}
			}
		}
		if len(seen) != len(limits) {
			t.Errorf("seed %d: got %d quantities, want %d", seed, len(seen), len(limits))
		}
		for key, values := range seen {
			if got := slices.Max(values) - slices.Min(values); got < limits[key].moves {
				t.Errorf("seed %d: %s moved by %v in a day, want at least %v", seed, key, got, limits[key].moves)
			}
		}
		if volumes := seen["water volume"]; !slices.IsSorted(volumes) {
			t.Errorf("seed %d: the water meter ran backwards", seed)
		}
	}
}

func TestADayCanBeAMinute(t *testing.T) {
	t.Parallel()
	slow, fast := Simulations(1, midnight, 24*time.Hour), Simulations(1, midnight, time.Minute)
	for k := range slow {
		for i := range 48 {
			a := slow[k].Read(midnight.Add(time.Duration(i) * time.Hour))
			b := fast[k].Read(midnight.Add(time.Duration(i) * 2500 * time.Millisecond))
			if !slices.Equal(a, b) {
				t.Fatalf("%s after %d hours: got %v in a day of a minute, want %v", slow[k].Name(), i, b, a)
			}
		}
	}
}

func TestWaveforms(t *testing.T) {
	t.Parallel()
	const s = time.Second
	near := func(name string, w waveform, points map[time.Duration]float64) {
		for _, at := range []time.Duration{0, s, 2 * s, 3 * s, 4 * s, 8 * s, 9 * s} {
			if want, ok := points[at]; ok {
				if got := w.at(at); math.Abs(got-want) > 1e-9 {
					t.Errorf("%s at %v: got %v, want %v", name, at, got, want)
				}
			}
		}
	}
	near("sine", &sine{10, 2, 4 * s, 0}, map[time.Duration]float64{0: 10, s: 12, 2 * s: 10, 3 * s: 8, 4 * s: 10})
	near("late sine", &sine{10, 2, 4 * s, s}, map[time.Duration]float64{0: 8, s: 10, 2 * s: 12})
	near("saw", &saw{0, 6, 3 * s, s}, map[time.Duration]float64{0: 6, s: 4, 2 * s: 2, 3 * s: 0, 4 * s: 6, 8 * s: 6, 9 * s: 4})
	near("total", &total{rate: &saw{3600, 3600, s, s}}, map[time.Duration]float64{0: 0, s: 1, 4 * s: 4, 9 * s: 9})
	near("both", both{&saw{1, 1, s, s}, &sine{2, 1, 4 * s, 0}}, map[time.Duration]float64{0: 3, s: 4})

	levels := []float64{1, 2, 3}
	w := &steps{rng: rand.New(rand.NewPCG(1, 1)), levels: levels, shortest: s, longest: 2 * s}
	changes, last := 0, w.at(0)
	for i := range 1000 {
		value := w.at(time.Duration(i) * s / 10)
		if !slices.Contains(levels, value) {
			t.Fatalf("steps: got %v, want one of %v", value, levels)
		}
		if value != last {
			changes++
		}
		last = value
	}
	if changes < 50 || changes > 100 {
		t.Errorf("steps: got %d changes in 100 s, want 50 to 100 of 1 to 2 s each", changes)
	}
}

func TestWalkSpreadsAsItWasTold(t *testing.T) {
	t.Parallel()
	w := &walk{rng: rand.New(rand.NewPCG(3, 3)), mean: 50, spread: 2, low: 46, high: 54, pull: time.Second}
	var sum, squares float64
	const n = 20_000
	for i := range n {
		v := w.at(time.Duration(i) * time.Second)
		if v < 46 || v > 54 {
			t.Fatalf("got %v, want 46 to 54", v)
		}
		sum, squares = sum+v, squares+(v-50)*(v-50)
	}
	if mean, spread := sum/n, math.Sqrt(squares/n); math.Abs(mean-50) > 0.2 || spread < 1.6 || spread > 2.1 {
		t.Errorf("got mean %.2f and spread %.2f, want about 50 and a little less than 2", mean, spread)
	}
}

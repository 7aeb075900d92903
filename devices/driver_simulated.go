package devices

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

func driverSimulated() Driver {
	return Driver{
		Name: TypeSimulated, Title: "a made-up sensor, for demos and tests: a sine, a random walk, steps, faults on a schedule, or the lines of a file", Bus: BusNone,
		Options: []string{"wave", "low", "high", "period", "seed", "quantity", "unit", "file"}, MinInterval: time.Millisecond, Timeout: time.Second,
		quantities: simulatedQuantities, check: checkSimulated,
		open: func(context.Context, *environment) (reader, error) { // NewSimulated has one that keeps the waveform over faults
			return nil, errors.New("a simulated device is not opened")
		},
	}
}

func checkSimulated(s *Spec) error {
	switch s.Wave {
	case WaveReplay:
		if s.File == "" {
			return errors.New("wave replay: want a file")
		}
		return nil
	case WaveSine, WaveWalk, WaveSteps, WaveFaults:
	default:
		return fmt.Errorf("wave %q: want %s, %s, %s, %s or %s", s.Wave, WaveSine, WaveWalk, WaveSteps, WaveFaults, WaveReplay)
	}
	if !(s.High > s.Low) || math.IsInf(s.High-s.Low, 0) {
		return fmt.Errorf("low %v and high %v: want a low below a high", s.Low, s.High)
	}
	if s.Period <= 0 || s.Period > 366*24*time.Hour {
		return fmt.Errorf("period %s: want more than none, and no more than a year", s.Period)
	}
	return nil
}

// simulatedQuantities is what s names; a replayed file brings its own.
func simulatedQuantities(s *Spec) []Quantity {
	if s.Wave == WaveReplay {
		return nil
	}
	name, unit := s.Quantity, s.Unit
	if name == "" {
		name = "value"
	}
	if unit == "" {
		unit = "1"
	}
	return []Quantity{{name, unit, digitsFor((s.High - s.Low) / 1000), s.Low, s.High}}
}

// wave is a simulated device at work: it outlives its readers, so that a fault does not start it anew. It belongs to one goroutine.
type wave struct {
	quantity Quantity
	value    waveform
	faults   time.Duration // a turn of the schedule of faults; 0: it always works
	start    time.Time     // of the first reading
}

// newWave makes the waveform of s, which was checked.
func newWave(s *Spec) *wave {
	w := &wave{quantity: simulatedQuantities(s)[0]}
	rng := rand.New(rand.NewPCG(s.Seed, 0))
	mean, swing := (s.Low+s.High)/2, (s.High-s.Low)/2
	switch s.Wave {
	case WaveWalk:
		w.value = &walk{rng: rng, mean: mean, spread: swing / 2.5, low: s.Low, high: s.High, pull: s.Period}
	case WaveSteps:
		levels := make([]float64, 5)
		for i := range levels {
			levels[i] = s.Low + (s.High-s.Low)*float64(i)/float64(len(levels)-1)
		}
		w.value = &steps{rng: rng, levels: levels, shortest: max(s.Period/2, 1), longest: max(s.Period*3/2, 2)}
	default:
		// Two devices of different seeds are at different places of the sine.
		delay := time.Duration(0)
		if s.Seed != 0 {
			delay = time.Duration(rng.Int64N(int64(s.Period)))
		}
		w.value = &sine{mean: mean, swing: swing, period: s.Period, delay: delay}
	}
	if s.Wave == WaveFaults {
		w.faults = s.Period
	}
	return w
}

// reader begins to use it, as after a fault.
func (w *wave) reader(ctx context.Context, _ *environment) (reader, error) {
	if w.start.IsZero() {
		w.start = time.Now()
	}
	if w.phase() == 1 {
		return nil, faultf(FaultMissing, "simulated: nothing answers")
	}
	return w, ctx.Err()
}

// phase is where the schedule of faults is: for a period each it works, is missing, works, and is garbled.
func (w *wave) phase() int {
	if w.faults == 0 {
		return 0
	}
	return int(time.Since(w.start) / w.faults % 4)
}

func (w *wave) Read(ctx context.Context) ([]Reading, error) {
	switch w.phase() {
	case 1:
		return nil, faultf(FaultMissing, "simulated: nothing answers")
	case 3:
		return nil, faultf(FaultCRC, "simulated: the checksum of what was read is wrong")
	}
	return []Reading{{w.quantity.Name, w.value.at(time.Since(w.start)), w.quantity.Unit}}, ctx.Err()
}

func (w *wave) Close() error { return nil }

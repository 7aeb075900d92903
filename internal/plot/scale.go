package plot

import (
	"math"
	"strconv"
)

// scale brings values to pixels.
type scale struct {
	from, to float64 // pixels of 0 and of most
	most     float64
	ticks    []float64
}

func (s scale) at(v float64) float64 { return s.from + (s.to-s.from)*v/s.most }

// newScale is from 0 to a round number that is not below most, or, if tight, to most itself.
func newScale(from, to, most float64, ticks int, tight bool) scale {
	if !(most > 0) || math.IsInf(most, 0) {
		most = 1
	}
	step := roundStep(most / float64(ticks))
	top := math.Ceil(most/step-1e-9) * step
	s := scale{from: from, to: to, most: top}
	if tight {
		s.most = most
	}
	for i := 0; float64(i)*step <= s.most*(1+1e-9); i++ {
		s.ticks = append(s.ticks, float64(i)*step)
	}
	return s
}

// roundStep is 1, 2 or 5 times a power of ten, not below v.
func roundStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= v*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

func (f *Figure) xScale() scale {
	most := 0.0
	for _, p := range f.Panels {
		for _, s := range p.Series {
			most = largest(most, s.X)
		}
	}
	return newScale(left, left+plotWidth, most, 12, true)
}

func (p *Panel) yScale(top int) scale {
	most := 0.0
	for _, s := range p.Series {
		most = largest(most, s.Y)
	}
	for _, m := range p.Marks {
		most = max(most, m.At*1.04) // room above the line
	}
	return newScale(float64(top+panelHeight), float64(top), most, 4, false)
}

// largest is the most of values and most; what is not a number does not count.
func largest(most float64, values []float64) float64 {
	for _, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			most = max(most, v)
		}
	}
	return most
}

// number is v without noise behind the point: 0.30000000000000004 is 0.3.
func number(v float64) string { return strconv.FormatFloat(math.Round(v*1e6)/1e6, 'f', -1, 64) }

package devices

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// median makes one reading of several: for each quantity the one in the middle, or the mean of the two there. A mean would let one wild read pull the value away, and
// would make of an input that is on or off something in between; of an odd number of reads the median is one that was really read.
func median(reads [][]Reading) []Reading {
	if len(reads) == 1 {
		return reads[0]
	}
	values := map[string][]float64{}
	var all []Reading
	for _, read := range reads {
		for _, r := range read {
			if values[r.Quantity] == nil {
				all = append(all, r)
			}
			values[r.Quantity] = append(values[r.Quantity], r.Value)
		}
	}
	for i := range all {
		v := values[all[i].Quantity]
		slices.Sort(v)
		all[i].Value = v[len(v)/2]
		if low := v[(len(v)-1)/2]; low != all[i].Value {
			all[i].Value = low + (all[i].Value-low)/2
		}
	}
	return all
}

// judge is what becomes of what was measured: calibrated, with the digits of the sensor; and what is wrong with the quantities that it leaves out.
func (s *sensor) judge(readings []Reading) (good []Reading, bad map[string]string) {
	bad = map[string]string{}
	for _, r := range readings {
		q, known := s.quantities[r.Quantity]
		if !known {
			q = Quantity{Digits: 9, Min: math.Inf(-1), Max: math.Inf(1)}
		}
		if cause := outside(r.Value, q.Min, q.Max, r.Unit, "the sensor measures"); cause != "" {
			bad[r.Quantity] = cause
			continue
		}
		a, adjusted := s.adjust[r.Quantity]
		if adjusted {
			r.Value = r.Value*a.Scale + a.Offset
			q.Digits = scaledDigits(q.Digits, a.Scale)
		}
		r.Value = roundTo(r.Value, q.Digits)
		if adjusted {
			low, high := math.Inf(-1), math.Inf(1)
			if a.Min != nil {
				low = *a.Min
			}
			if a.Max != nil {
				high = *a.Max
			}
			if cause := outside(r.Value, low, high, r.Unit, "the configuration allows"); cause != "" {
				bad[r.Quantity] = cause
				continue
			}
		}
		good = append(good, r)
	}
	return good, bad
}

// outside says how v is beyond low and high; "" if it is not. What is infinite is beyond every range.
func outside(v, low, high float64, unit, who string) string {
	if unit == "1" {
		unit = ""
	}
	text := func(v float64) string { return strings.TrimSpace(strconv.FormatFloat(v, 'g', 9, 64) + " " + unit) }
	switch {
	case math.IsNaN(v):
		return "it is not a number"
	case math.IsInf(v, 0):
		return fmt.Sprintf("beyond the end of its range: %s %s to %s", who, text(low), text(high))
	case v < low || v > high:
		return fmt.Sprintf("%s: %s %s to %s", text(v), who, text(low), text(high))
	}
	return ""
}

// scaledDigits is how many decimals a value has that had digits before it was multiplied.
func scaledDigits(digits int, scale float64) int {
	return min(max(digits-int(math.Floor(math.Log10(math.Abs(scale)))), 0), 9)
}

// roundTo gives v that many decimals, and no binary fraction behind them.
func roundTo(v float64, digits int) float64 {
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(v, 'f', digits, 64), 64)
	if err != nil {
		return v
	}
	return rounded + 0 // which makes 0 of -0
}

// readingData is the data of an event of type EventReading: {"temperature":25.08,"load":0.4,"units":{"temperature":"Cel"}}. What has no unit has none there.
func readingData(readings []Reading) map[string]any {
	data, units := map[string]any{}, map[string]string{}
	for _, r := range readings {
		data[r.Quantity] = r.Value
		if r.Unit != "1" {
			units[r.Quantity] = r.Unit
		}
	}
	data["units"] = units
	return data
}

// readingText is what people read.
func readingText(readings []Reading) string {
	parts := make([]string, len(readings))
	for i, r := range readings {
		value := strconv.FormatFloat(r.Value, 'f', -1, 64)
		if r.Unit == "1" {
			parts[i] = r.Quantity + " " + value
			continue
		}
		parts[i] = value + " " + r.Unit
	}
	return strings.Join(parts, ", ")
}

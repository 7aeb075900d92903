package main

import (
	"fmt"
	"time"
)

// Bounds of what must not grow while the load lasts.
const (
	memoryGrowth = 1.2
	p99Growth    = 2.0
)

// span is from one moment to another, both since the start.
type span struct{ from, to time.Duration }

func (s span) String() string {
	return fmt.Sprintf("%s to %s", s.from.Truncate(time.Second), s.to.Truncate(time.Second))
}

// minutes are the first and the last minute of a load that lasted loaded, in whole windows; of one that is shorter than four
// minutes, the first and the last quarter.
func minutes(loaded time.Duration) (first, last span) {
	length := max(min(time.Minute, loaded/4).Truncate(window), window)
	end := loaded.Truncate(window)
	return span{0, length}, span{end - length, end}
}

// quarters are the second and the last. In the first the log fills, and what it keeps in memory with it.
func quarters(loaded time.Duration) (second, last span) {
	return span{loaded / 4, loaded / 2}, span{loaded - loaded/4, loaded}
}

// flatVerdicts are on what must not grow while the load lasts.
func flatVerdicts(phase string, in *intake, s *sampler, loaded time.Duration) []verdict {
	first, last := minutes(loaded)
	before, after := in.p99(first.from, first.to), in.p99(last.from, last.to)
	return []verdict{
		s.flatMemory(phase+"memory, resident", loaded, func(p point) float64 { return mib(p.memory.RSS) }),
		s.flatMemory(phase+"memory, anonymous", loaded, func(p point) float64 { return mib(p.memory.Anon) }),
		{
			fmt.Sprintf("%sp99 of Append, %s", phase, last), fmt.Sprintf("%.1f ms; %s: %.1f ms", millis(after), first, millis(before)),
			fmt.Sprintf("≤ %.0f× the first", p99Growth), after > 0 && float64(after) <= p99Growth*float64(before),
		},
	}
}

// flatMemory compares medians: a collection of garbage is no trend.
func (s *sampler) flatMemory(what string, loaded time.Duration, of func(point) float64) verdict {
	second, last := quarters(loaded)
	before, after := s.median(second.from, second.to, of), s.median(last.from, last.to, of)
	return verdict{
		what + ", last quarter", fmt.Sprintf("%.1f MiB; second quarter: %.1f MiB", after, before),
		fmt.Sprintf("≤ %.1f× the second", memoryGrowth), after > 0 && after <= memoryGrowth*before,
	}
}

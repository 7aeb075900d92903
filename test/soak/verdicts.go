package main

import (
	"fmt"
	"time"

	"gateway"
)

// Bounds. Both growths compare the last part of the load with its first.
const (
	memoryGrowth = 1.2
	p99Growth    = 2.0
)

// parts are what is compared: the first minute after a warm-up, and the last; less of a shorter run.
func (s *soaked) parts() (first, last [2]time.Duration) {
	length := min(time.Minute, s.plan.length/4).Truncate(window)
	length = max(length, window)
	warm := min(10*time.Second, s.plan.length/12).Truncate(window)
	end := s.loaded.Truncate(window)
	return [2]time.Duration{warm, warm + length}, [2]time.Duration{end - length, end}
}

func (s *soaked) summary() []string {
	in, status := s.intake, s.status
	n := in.total()
	facts := []string{
		fmt.Sprintf("dropping: %d events of %.1f MB appended in %s, %.0f a second, by %d producers with %d events an Append; max_size %.0f MiB",
			n, float64(in.bytes.Load())/1e6, s.loaded.Truncate(time.Second), float64(n)/s.loaded.Seconds(), producers, perAppend, mib(s.plan.maxSize)),
		fmt.Sprintf("drained in %s; %.1f bytes written to the device for an event, %.2f for a byte of payload",
			(s.drained - s.loaded).Truncate(100*time.Millisecond), status.Wear.PerEvent, status.Wear.PerPayloadByte),
	}
	for _, c := range s.sampler.consumers {
		facts = append(facts, fmt.Sprintf("consumer %s: %d events, and %d gaps over %d", c.name, c.check.delivered, c.check.gaps, c.check.lost))
	}
	return facts
}

func (s *soaked) verdicts() []verdict {
	first, last := s.parts()
	anon := func(p point) float64 { return mib(p.memory.Anon) }
	before, after := s.sampler.median(first[0], first[1], anon), s.sampler.median(last[0], last[1], anon)
	p99, p99Last := s.intake.p99(first[0], first[1]), s.intake.p99(last[0], last[1])
	verdicts := []verdict{
		diskVerdict("disk, at every sample", s.sampler, s.plan.maxSize),
		{
			"memory (anonymous), median of the last part", fmt.Sprintf("%.1f MiB, of the first %.1f", after, before),
			fmt.Sprintf("≤ %.1f× the first", memoryGrowth), after <= memoryGrowth*before,
		},
		{
			"p99 of Append in the last part", fmt.Sprintf("%.1f ms, in the first %.1f", millis(p99Last), millis(p99)),
			fmt.Sprintf("≤ %.0f× the first", p99Growth), float64(p99Last) <= p99Growth*float64(p99),
		},
		shrinkVerdict("disk after the drain, less than a quarter of max_size", s.left, s.plan.maxSize/4),
	}
	for _, c := range s.sampler.consumers {
		verdicts = append(verdicts, verdict{
			"consumer " + c.name + ": events + gaps", fmt.Sprintf("%d + %d", c.check.delivered, c.check.lost), fmt.Sprintf("%d", s.intake.total()),
			c.check.delivered+c.check.lost == s.intake.total(),
		})
	}
	return append(verdicts, s.counters()...)
}

// counters holds what the log says of itself against what the producers and the consumers saw.
func (s *soaked) counters() []verdict {
	n, bytes, status := s.intake.total(), s.intake.bytes.Load(), s.status
	lost := status.Lost[gateway.LostFull]
	gone := uint64(status.First) - 1
	return []verdict{
		{"appended = last offset = acknowledged", fmt.Sprintf("%d = %d", status.Appended, status.Last), fmt.Sprint(n), status.Appended == n && uint64(status.Last) == n},
		{"payload bytes", fmt.Sprint(status.PayloadBytes), fmt.Sprint(bytes), status.PayloadBytes == bytes},
		{"lost, by the log = by the gaps of who was stopped", fmt.Sprint(lost), fmt.Sprint(s.parked.check.lost), lost == s.parked.check.lost},
		{"events were dropped at all", fmt.Sprint(lost), "> 0", lost > 0},
		{"trimmed + lost = gone", fmt.Sprintf("%d + %d", status.Trimmed, lost), fmt.Sprint(gone), status.Trimmed+lost == gone},
		{"gaps left when everybody is past them", fmt.Sprint(len(status.Gaps)), "0", len(status.Gaps) == 0},
	}
}

func diskVerdict(what string, s *sampler, bound int64) verdict {
	return verdict{
		what, fmt.Sprintf("%.1f MiB at most in %d samples, %d above", mib(s.worst), s.samples, s.over),
		fmt.Sprintf("≤ %.1f MiB (max_size + 10 %%)", mib(bound+bound/10)), s.over == 0,
	}
}

func shrinkVerdict(what string, left, bound int64) verdict {
	return verdict{what, fmt.Sprintf("%.1f MiB", mib(left)), fmt.Sprintf("< %.0f MiB", mib(bound)), left < bound}
}

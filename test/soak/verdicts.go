package main

import (
	"fmt"
	"time"

	"gateway"
)

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
	verdicts := []verdict{diskVerdict("disk, at every sample", s.sampler)}
	verdicts = append(verdicts, flatVerdicts("", s.intake, s.sampler, s.loaded)...)
	verdicts = append(verdicts, shrinkVerdict("disk after the drain", s.left, s.sampler))
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
		{"events were dropped at all (none: let it run longer, or with a smaller -max-size)", fmt.Sprint(lost), "> 0", lost > 0},
		{"trimmed + lost = gone", fmt.Sprintf("%d + %d", status.Trimmed, lost), fmt.Sprint(gone), status.Trimmed+lost == gone},
		{"gaps left when everybody is past them", fmt.Sprint(len(status.Gaps)), "0", len(status.Gaps) == 0},
	}
}

func diskVerdict(what string, s *sampler) verdict {
	return verdict{
		what, fmt.Sprintf("%.1f MiB at most in %d samples, %d above", mib(s.worst.Load()), s.samples, s.over),
		fmt.Sprintf("≤ %.1f MiB (max_size + 10 %%)", mib(s.bound())), s.over == 0,
	}
}

// shrinkVerdict wants back a quarter of the most that the log took, and half of its bound. What stays is the engine's: logs of a
// fixed size, which are much of a small bound, and blocks that are deleted and too few to be worth a rewrite.
func shrinkVerdict(what string, left int64, s *sampler) verdict {
	return verdict{what, fmt.Sprintf("%.1f MiB", mib(left)), fmt.Sprintf("≤ %.1f MiB", mib(s.small())), left <= s.small()}
}

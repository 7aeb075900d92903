package admin

import (
	"github.com/prometheus/client_golang/prometheus"

	"gateway"
)

func processSamples() []sample[*Status] {
	return []sample[*Status]{
		gauge("start_time_seconds", "When the gateway was started, in seconds since 1970 by its clock.",
			func(s *Status) float64 { return float64(s.Started.UnixMilli()) / 1000 }),
	}
}

func logSamples() []sample[*Status] {
	return []sample[*Status]{
		counter("log_appended_events_total", "Events that became durable.", func(s *Status) float64 { return float64(s.Log.Appended) }),
		counter("log_commits_total", "Synced transactions.", func(s *Status) float64 { return float64(s.Log.Commits) }),
		counter("log_payload_bytes_total", "Bytes of data of the events that became durable.", func(s *Status) float64 { return float64(s.Log.PayloadBytes) }),
		counter("log_block_bytes_total", "Bytes of the blocks that they took, compressed, before the storage engine.", func(s *Status) float64 { return float64(s.Log.BlockBytes) }),
		counter("log_trimmed_events_total", "Events deleted when nobody was owed them any more.", func(s *Status) float64 { return float64(s.Log.Trimmed) }),
		gauge("log_disk_bytes", "Bytes that the data directory takes on disk.", func(s *Status) float64 { return float64(s.Log.Bytes) }),
		gauge("log_disk_limit_bytes", "The bound on it, buffer.max_size.", func(s *Status) float64 { return float64(s.Log.MaxBytes) }),
		gauge("log_first_offset", "The oldest offset kept; one more than the last in an empty log.", func(s *Status) float64 { return float64(s.Log.First) }),
		gauge("log_last_offset", "The newest durable offset.", func(s *Status) float64 { return float64(s.Log.Last) }),
		gauge("log_epoch", "The epoch of the log: it rises with a repair, a restore and another machine.", func(s *Status) float64 { return float64(s.Log.Epoch) }),
		gauge("log_gaps", "Holes in the log that a forwarder has not passed yet.", func(s *Status) float64 { return float64(len(s.Log.Gaps)) }),
		gauge("log_failed", "1 if the log has failed for good: nothing is accepted until a restart.", func(s *Status) float64 { return truth(s.Log.Failed != "") }),
		gauge("log_open_problems", "What was wrong with the log when it was opened.", func(s *Status) float64 { return float64(len(s.Report.Problems) + len(s.Report.Gone)) }),
	}
}

// collectLost has a sample for every reason, also one that never came up, so that its first time is a rise from 0.
func (c *collector) collectLost(out chan<- prometheus.Metric, st *Status) {
	lost := map[string]uint64{gateway.LostFull: 0, gateway.LostAge: 0, gateway.LostDamage: 0}
	for reason, n := range st.Log.Lost {
		lost[reason] = n
	}
	for reason, n := range lost {
		c.lost.emit(out, n, reason)
	}
	for _, reason := range []string{gateway.FullSize, gateway.FullDisk} {
		c.full.emit(out, st.Log.Full && st.Log.FullReason == reason, reason)
	}
	if r := st.Log.FullReason; st.Log.Full && r != gateway.FullSize && r != gateway.FullDisk {
		c.full.emit(out, true, r)
	}
}

// cardSamples are about the card and the clock. What is not known is 0.
func cardSamples() []sample[*Status] {
	return []sample[*Status]{
		counter("wear_written_bytes_total", "Bytes that the process has written to the block device, by the kernel's count.", func(s *Status) float64 { return float64(s.Log.Wear.Written) }),
		gauge("wear_event_bytes", "Bytes written for each event.", func(s *Status) float64 { return s.Log.Wear.PerEvent }),
		gauge("wear_payload_ratio", "Bytes written for each byte of the events' data.", func(s *Status) float64 { return s.Log.Wear.PerPayloadByte }),
		gauge("wear_day_bytes", "Bytes written a day, at the rate of the last day or since the start.", func(s *Status) float64 { return s.Log.Wear.PerDay }),
		gauge("wear_endurance_bytes", "What the card can take in its life, buffer.card_endurance.", func(s *Status) float64 { return float64(s.Log.Wear.Endurance) }),
		gauge("wear_projected_years", "How long the card lasts at that rate.", func(s *Status) float64 { return s.Log.Wear.Years }),
		gauge("clock_synced", "1 if the wall clock follows a time source, or has done so since boot.", func(s *Status) float64 { return truth(s.Log.Clock.Synced) }),
		gauge("clock_ahead_seconds", "By how much the time of events is ahead of the kernel's clock, which runs behind the log.", func(s *Status) float64 { return s.Log.Clock.Ahead.Seconds() }),
	}
}

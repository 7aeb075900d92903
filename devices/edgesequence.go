package devices

import (
	"log/slog"
	"time"

	"gateway/devices/gpiochip"
)

// edgeSequence notices the edges that the kernel had no room for. Its zero value is that of a line just opened.
type edgeSequence struct{ last uint32 }

// hole is a run of edges that were lost: there were exactly so many, whatever they were.
type hole struct{ lost, from, to uint32 }

// next is what is missing before e. The numbers go on at 0 after their largest.
func (s *edgeSequence) next(e gpiochip.Event) (h hole, ok bool) {
	h = hole{lost: e.Sequence - s.last - 1, from: s.last + 1, to: e.Sequence - 1}
	s.last = e.Sequence
	return h, h.lost != 0
}

// overrunData is the data of a device.overrun.
type overrunData struct {
	Lost uint64 `json:"lost"`
	From uint32 `json:"from_sequence"`
	To   uint32 `json:"to_sequence"`
	// Counted is how many of them are in a counter's total.
	Counted uint64 `json:"counted,omitempty"`
}

// lossLog logs that edges were lost: at first, and then once a minute with what was lost since.
type lossLog struct {
	said time.Time
	lost uint64
}

func (l *lossLog) add(logger *slog.Logger, lost uint64) {
	l.lost += lost
	if lost == 0 || !l.said.IsZero() && time.Since(l.said) < time.Minute {
		return
	}
	logger.Warn("edges were lost: more came than were read; each run of them has an event", "lost", l.lost)
	l.said, l.lost = time.Now(), 0
}

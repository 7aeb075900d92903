package buffer

import (
	"log/slog"
	"maps"
	"sync"
	"time"

	"gateway"
)

// lossesEvery is how often a loss that goes on is logged.
const lossesEvery = time.Minute

// losses counts what consumers were owed and will never get, and tells the log: at first, then at intervals.
type losses struct {
	mu      sync.Mutex
	lost    map[string]uint64    // since the start, by reason; guarded by mu, as what follows
	pending map[string]*lossLine // not logged yet
	logged  map[string]time.Time
}

// lossLine is what the log is told.
type lossLine struct {
	loss
	events uint64
}

// add tells of losses that became durable.
func (s *losses) add(lost []loss) {
	if len(lost) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	for _, l := range lost {
		n := uint64(l.to-l.from) + 1
		s.lost[l.reason] += n
		line := s.pending[l.reason]
		if line == nil {
			s.pending[l.reason] = &lossLine{l, n}
			continue
		}
		line.to, line.until = l.to, l.until
		line.events += n
	}
}

// init makes the maps. s.mu is held.
func (s *losses) init() {
	if s.lost == nil {
		s.lost, s.pending, s.logged = map[string]uint64{}, map[string]*lossLine{}, map[string]time.Time{}
	}
}

// addHoles tells of damage that became known. Who found it has logged it.
func (s *losses) addHoles(holes []gateway.Gap) {
	if len(holes) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	for _, h := range holes {
		s.lost[h.Reason] += h.Count()
	}
}

// counts are the events lost since the start, by reason.
func (s *losses) counts() map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.lost)
}

// tell logs what is due; all of it at the end. It is the housekeeper's.
func (s *losses) tell(log *slog.Logger, now time.Time, end bool) {
	type line struct {
		lossLine
		total uint64
	}
	var lines []line
	s.mu.Lock()
	for reason, pending := range s.pending {
		if at, ok := s.logged[reason]; ok && !end && now.Sub(at) < lossesEvery {
			continue
		}
		lines = append(lines, line{*pending, s.lost[reason]})
		s.logged[reason] = now
		delete(s.pending, reason)
	}
	s.mu.Unlock()
	for _, l := range lines {
		log.Warn(lossText[l.reason], "reason", l.reason, "events", l.events, "from", uint64(l.from), "to", uint64(l.to),
			"since", l.since, "until", l.until, "total", l.total)
	}
}

// lossText says what happened and what to do.
var lossText = map[string]string{
	gateway.LostFull: "log is full: the oldest events were dropped before every forwarder had them; see that they deliver, or raise buffer.max_size",
	gateway.LostAge:  "events were dropped before every forwarder had them: they are older than buffer.max_age; see that the forwarders deliver",
}

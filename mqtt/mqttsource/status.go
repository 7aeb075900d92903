package mqttsource

import (
	"errors"
	"time"

	"gateway"
)

// States of a source.
const (
	StateConnecting = "connecting" // there is no connection; attempts go on
	StateConnected  = "connected"  // the broker sends what there is
	StateRefused    = "refused"    // the broker refuses us: a person must look; attempts go on
)

// Status is a snapshot of a source. Counters rise from the start of the process, and Received = Stored + Duplicates +
// Looped + Ignored + Refused + what waits or came again after a lost connection.
type Status struct {
	Name string `json:"name"`
	URL  string `json:"url"`
	// State is one of the above, and Since when it was entered.
	State string    `json:"state"`
	Since time.Time `json:"since"`
	// Received counts messages, Stored those that are durable, Duplicates those whose ID was stored before, Looped those
	// that Accept refused, Ignored the retained and those of topics that are not subscribed to any more, Refused those
	// that are too large.
	Received   uint64 `json:"received"`
	Stored     uint64 `json:"stored"`
	Duplicates uint64 `json:"duplicates"`
	Looped     uint64 `json:"looped"`
	Ignored    uint64 `json:"ignored"`
	Refused    uint64 `json:"refused"`
	// Reconnects counts connections after the first.
	Reconnects uint64 `json:"reconnects"`
	// Full says that messages wait, unacknowledged, because the log is full.
	Full bool `json:"full"`
	// LastError is why there is no connection, or what is wrong with the one that there is; "" if nothing is.
	LastError string `json:"last_error,omitempty"`
}

// Status returns a snapshot. Safe for concurrent use.
func (s *Source) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

func (s *Source) change(f func(*Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.status)
}

// connected enters the state of that name.
func (s *Source) connected(present bool) {
	s.warned = ""
	s.o.Logger.Info("source connected", "url", s.o.URL, "session_kept", present)
	s.change(func(st *Status) {
		st.State, st.Since = StateConnected, time.Now()
		if s.connections++; s.connections > 1 {
			st.Reconnects++
		}
		if s.denied == "" {
			st.LastError = ""
		}
	})
}

// failed takes note of why there is no connection. It logs a change, not every attempt.
func (s *Source) failed(err error) {
	state := StateConnecting
	if errors.Is(err, gateway.ErrBlocked) {
		state = StateRefused
	}
	switch {
	case s.warned == state:
	case state == StateRefused:
		s.o.Logger.Error("source is refused: nothing comes in until that is changed", "url", s.o.URL, "error", err)
	default:
		s.o.Logger.Warn("source has no connection", "url", s.o.URL, "error", err)
	}
	s.warned = state
	s.change(func(st *Status) {
		if st.State != state {
			st.State, st.Since = state, time.Now()
		}
		st.LastError = err.Error()
	})
}

// full takes note of whether the log has no room.
func (s *Source) full(now bool) {
	switch {
	case s.Status().Full == now:
		return
	case now:
		s.o.Logger.Warn("log is full: messages wait at the source's broker")
	default:
		s.o.Logger.Info("log has room again")
	}
	s.change(func(st *Status) { st.Full = now })
}

// refuseEvery is the least time between two lines about messages that are too large.
const refuseEvery = 30 * time.Second

// tooLarge refuses a message larger than MaxPacket. One of QoS 0 gets no further, so it is counted as received here.
func (s *Source) tooLarge(topic string, size int, qos byte) {
	if qos == 0 {
		s.change(func(st *Status) { st.Received++ })
	}
	s.refuse(topic, size)
}

// refuse counts a message that can never be stored. Safe for concurrent use.
func (s *Source) refuse(topic string, size int) {
	say := false
	s.change(func(st *Status) {
		st.Refused++
		if now := time.Now(); s.refusedAt.IsZero() || now.Sub(s.refusedAt) >= refuseEvery {
			s.refusedAt, say = now, true
		}
	})
	if say {
		s.o.Logger.Error("message is too large and was not stored: its publisher has to send less, or max_packet allow more",
			"topic", topic, "bytes", size, "max_packet", s.o.MaxPacket)
	}
}

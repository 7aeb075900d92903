package mqtt

import (
	"container/list"
	"time"
)

// minAway is how many sessions may last without a connection, at least; see sessions.most.
const minAway = 1000

// leaveAlone notes that the connection of a lasting session ends. If there are too many such sessions, as any client may
// leave as many as it has ids, the one that has been away longest is due to be ended by the keeper; then it returns true.
func (r *sessions) leaveAlone(s *session) (evicts bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.isBack(s)
	s.away = r.away.PushBack(s)
	if r.away.Len() <= r.most {
		return false
	}
	longest, ok := r.away.Front().Value.(*session)
	if !ok {
		return false // it has nothing but sessions
	}
	r.isBack(longest)
	longest.evicted, longest.due = true, time.Now()
	return true
}

// isBack notes that the session is not left alone any more, or will not be for long. r.mu is held.
func (r *sessions) isBack(s *session) {
	if s.away != nil {
		r.away.Remove(s.away)
	}
	s.away, s.evicted = nil, false
}

// isEvicted says whether the session is to be ended because there are too many.
func (r *sessions) isEvicted(s *session) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return s.evicted
}

func newSessions(b *Broker) sessions {
	return sessions{b: b, m: map[string]*session{}, away: list.New(), most: max(minAway, b.o.MaxClients)}
}

package mqtt

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// session is what the broker itself remembers of a client id, while it is connected, while its session lasts
// (MQTT 5.0 section 4.1), and while the log has publishes of it. Subscriptions and deliveries are mochi's.
type session struct {
	b  *Broker
	id string

	// turn is held (one element) by the one connection, or timer, that is this client now. Its holder alone queues
	// batches and uses the fields behind it.
	turn       chan struct{}
	qos2       map[uint16]struct{} // publishes taken and not yet released by a PUBREL
	subscribed bool                // counted in Broker.subscribers
	will       *will               // delayed: to publish at willAt
	willAt     time.Time
	expireAt   time.Time // zero: never
	offline    bool      // no connection, but the session lasts
	unacked    unacked
	deliveries uint32 // numbers what is sent to the client, so that it is sent again in that order

	mu          sync.Mutex
	first, last *batch // queued and not yet finished, in order; last means nothing while first is nil; guarded by mu
	detached    bool   // that queue holds a reference; guarded by mu

	// Guarded by sessions.mu.
	refs    int
	current *conn
	waiting int           // connections that want the turn
	due     time.Time     // when the keeper has to look at it; zero: never
	away    *list.Element // in sessions.away; nil if it has a connection, does not last, or is evicted
	evicted bool          // the keeper shall end it
}

// sessions are all sessions, by client id.
type sessions struct {
	b  *Broker
	mu sync.Mutex
	m  map[string]*session // guarded by mu
	// away are the sessions that last without a connection, those that have been away longest first; guarded by mu. There
	// are never more than most: as many as may be connected, so that all may come back after an outage of the network.
	away *list.List
	most int
}

// get returns the session of id, which the caller has to release.
func (r *sessions) get(id string) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.m[id]
	if s == nil {
		s = &session{b: r.b, id: id, turn: make(chan struct{}, 1)}
		r.m[id] = s
	}
	s.refs++
	return s
}

func (r *sessions) hold(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.refs++
}

// release gives a reference back. The last one forgets the session.
func (r *sessions) release(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.refs--
	if s.refs == 0 {
		delete(r.m, s.id)
	}
}

// connected says whether the client has a connection.
func (r *sessions) connected(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.m[id]
	return s != nil && s.current != nil
}

// dueBy returns the sessions that the keeper has to look at, which the caller has to release, and when the next one is
// due (zero: none).
func (r *sessions) dueBy(now time.Time) (list []*session, next time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.m {
		switch {
		case s.due.IsZero():
		case !s.due.After(now):
			s.refs++
			list = append(list, s)
		case next.IsZero() || s.due.Before(next):
			next = s.due
		}
	}
	return list, next
}

var errTurn = errors.New("the client's earlier connection did not end in time")

// takeTurn makes c the session's connection: an earlier one is closed first (MQTT 5.0 section 3.1.4), and c waits
// until all of that, its will included, is behind it.
func (s *session) takeTurn(ctx context.Context, c *conn, patience time.Duration) error {
	r := &s.b.sessions
	r.mu.Lock()
	earlier := s.current
	s.waiting++
	r.mu.Unlock()
	if earlier != nil {
		earlier.shut(packets.ErrSessionTakenOver)
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	var err error
	select {
	case s.turn <- struct{}{}:
	case <-timeout.C:
		err = errTurn
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.waiting--
	if err != nil {
		return err
	}
	r.isBack(s)
	s.current, s.due = c, time.Time{}
	if s.waiting > 0 { // those who wait came later than c
		c.shut(packets.ErrSessionTakenOver)
	}
	return nil
}

// giveTurn ends the hold on the session, and says when the keeper has to look at it.
func (s *session) giveTurn() (due time.Time) {
	if s.will != nil {
		due = s.willAt
	}
	if !s.expireAt.IsZero() && (due.IsZero() || s.expireAt.Before(due)) {
		due = s.expireAt
	}
	s.b.sessions.mu.Lock()
	switch {
	case !s.offline:
		s.b.sessions.isBack(s)
	case s.evicted: // just now
		due = time.Now()
	}
	s.current, s.due = nil, due
	s.b.sessions.mu.Unlock()
	<-s.turn
	return due
}

// detach keeps the session known while the log still has batches of it.
func (s *session) detach() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first != nil && !s.detached {
		s.detached = true
		s.b.sessions.hold(s)
	}
}

// end forgets what the session was: it is over. The caller has the turn.
func (s *session) end() {
	s.qos2 = nil
	s.b.waiting.forget(&s.unacked)
	if s.subscribed {
		s.subscribed = false
		s.b.subscribers.Add(-1)
	}
	if s.offline {
		s.offline = false
		s.b.sessions.release(s)
	}
	s.expireAt = time.Time{}
}

// takeQoS2 says whether the packet id is new, and remembers it.
func (s *session) takeQoS2(id uint16) bool {
	if _, ok := s.qos2[id]; ok {
		return false
	}
	if s.qos2 == nil {
		s.qos2 = map[uint16]struct{}{}
	}
	s.qos2[id] = struct{}{}
	return true
}

// releaseQoS2 says whether the packet id was known, and forgets it.
func (s *session) releaseQoS2(id uint16) bool {
	_, ok := s.qos2[id]
	delete(s.qos2, id)
	return ok
}

// awaitSettled waits, when the broker stops, until what the session has with the log is durable, acknowledged and
// routed. The caller has the turn.
func (s *session) awaitSettled(ctx context.Context) {
	s.mu.Lock()
	settled := s.first == nil
	s.mu.Unlock()
	if settled {
		return
	}
	wait, cancel := context.WithDeadline(context.WithoutCancel(ctx), s.b.stopBy())
	defer cancel()
	token := make(chan struct{}, 1)
	bt := s.b.newBatch(s, nil)
	bt.token = token
	s.queue(bt)
	s.settle(bt, nil)
	select {
	case <-token:
	case <-wait.Done():
		s.b.log.Warn("publishes not acknowledged: the log did not take them before the stop", "client", s.id)
	}
}

// awaitDetached does that for the sessions whose connection ended before.
func (b *Broker) awaitDetached(ctx context.Context) {
	for _, s := range b.sessions.all() {
		s.turn <- struct{}{} // only the keeper may have it, and that is about to end
		s.awaitSettled(ctx)
		s.giveTurn()
		b.sessions.release(s)
	}
}

// all returns every session. The caller has to release them.
func (r *sessions) all() []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*session, 0, len(r.m))
	for _, s := range r.m {
		s.refs++
		list = append(list, s)
	}
	return list
}

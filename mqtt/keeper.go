package mqtt

import (
	"context"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// keep does what is due without a client: delayed wills, sessions and messages that expire, and the end of all
// connections when the log has failed. It measures time by the monotonic clock: the wall clock of a Pi steps from
// 1970 to today when NTP arrives, and no session may expire by that.
func (b *Broker) keep(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.keeperWake:
		case <-timer.C:
		}
		if next := b.keepOnce(ctx, time.Now()); !next.IsZero() {
			timer.Reset(max(0, time.Until(next)))
		}
	}
}

// keepOnce does what is due and returns when to come again; zero: when woken.
func (b *Broker) keepOnce(ctx context.Context, now time.Time) (next time.Time) {
	defer func() {
		if p := recover(); p != nil {
			b.panicked("keep sessions", p)
			next = time.Now().Add(time.Second)
		}
	}()
	if b.failed.Load() {
		b.shutAll(packets.ErrServerUnavailable)
	}
	list, next := b.sessions.dueBy(now)
	for _, s := range list {
		if due := s.keep(ctx, now); !due.IsZero() && (next.IsZero() || due.Before(next)) {
			next = due
		}
		b.sessions.release(s)
	}
	if second := now.Add(time.Second); b.router.expire() && (next.IsZero() || second.Before(next)) {
		next = second
	}
	return next
}

// keep publishes the will and ends the session if their times have come.
func (s *session) keep(ctx context.Context, now time.Time) (due time.Time) {
	select {
	case s.turn <- struct{}{}:
	default:
		return time.Time{} // the client is back: its times are void
	}
	defer func() { due = s.giveTurn() }()
	if w := s.will; w != nil && !s.willAt.After(now) {
		s.will = nil
		s.publishWill(ctx, w)
	}
	if s.b.sessions.isEvicted(s) {
		s.b.evicted.report(s.id)
	} else if s.expireAt.IsZero() || s.expireAt.After(now) {
		return
	}
	if w := s.will; w != nil { // it waits no longer than the session
		s.will = nil
		s.publishWill(ctx, w)
	}
	s.b.forgetClient(s.id)
	s.end()
	return
}

// forgetClient takes a client without a connection, its subscriptions and its messages out of mochi.
func (b *Broker) forgetClient(id string) {
	b.router.hold.Lock()
	defer b.router.hold.Unlock()
	client, ok := b.server.Clients.Get(id)
	if !ok {
		return
	}
	client.ClearInflights()
	b.server.UnsubscribeClient(client)
	b.server.Clients.Delete(id)
}

func (b *Broker) wakeKeeper() {
	select {
	case b.keeperWake <- struct{}{}:
	default:
	}
}

package forwarder

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gateway"
)

// How a forwarder catches up after an outage.
const (
	// InOrder delivers everything in the order of the log.
	InOrder = "in_order"
	// LiveFirst delivers what comes at once, and what has waited beside it, marked as backfill. Either keeps its order.
	LiveFirst = "live_first"
)

// In which order the backlog is delivered.
const (
	OldestFirst = "oldest_first"
	// NewestFirst delivers the newest part of the backlog first, in stretches of newestStretch offsets, each in its own order.
	NewestFirst = "newest_first"
)

const (
	newestStretch = 10_000
	// A lane is behind if more than behindEvents wait, or the oldest for longer than behindTime.
	behindEvents = 500
	behindTime   = 5 * time.Second
	// maxStretches bounds the stretches of a backlog. With more outages than that, live events wait their turn.
	maxStretches = 16
)

// moves says whether the lane is behind in an outage, and what it has in hand should become backlog.
func (f *Forwarder) moves(l *lane) bool {
	if f.o.CatchUp != LiveFirst || l.isBacklog() || !f.gate.isDown() && f.wasUp.Load() {
		return false
	}
	at := l.saved.position()
	last := f.o.Log.Status().Last
	if last <= at {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	old := !l.oldest.IsZero() && time.Since(l.oldest) > behindTime+f.o.Linger
	return (last-at > behindEvents || old) && (len(l.track.backlog) < maxStretches || l.extends(at))
}

// extends says whether nothing was delivered since the newest stretch was made: then it becomes longer.
func (l *lane) extends(at gateway.Offset) bool {
	n := len(l.track.backlog)
	return n > 0 && l.track.backlog[n-1].to == at
}

// moveOn makes backlog of what waits for a live lane, and moves it to the end of the log. moved is false if there is nothing to move.
func (f *Forwarder) moveOn(ctx context.Context, l *lane) (moved bool, err error) {
	at, to := l.saved.position(), f.o.Log.Status().Last
	if to <= at {
		return false, nil
	}
	f.mu.Lock()
	t := l.track
	if l.extends(at) {
		t.backlog[len(t.backlog)-1].to = to
	} else {
		t.backlog = append(t.backlog, stretch{from: at + 1, at: at, to: to})
	}
	s := t.backlog[len(t.backlog)-1]
	t.live, l.settled = to, to
	f.mu.Unlock()
	moves := append(t.moves(&s), gateway.CursorMove{Name: t.base, Offset: to})
	if err := f.write(ctx, gateway.Batch{Cursors: moves}); err != nil {
		return false, fmt.Errorf("forwarder %q: make a backlog up to %d: %w", f.o.Name, to, err)
	}
	f.o.Logger.Info("live events first: what waits is delivered beside them", "from", uint64(s.from), "to", uint64(s.to))
	wake(t.more)
	return true, nil
}

// nextStretch waits for a stretch of the backlog of t. It returns false when ctx ends.
func (f *Forwarder) nextStretch(ctx context.Context, t *track) (stretch, bool) {
	for {
		s, split, ok := f.firstStretch(t)
		if split != nil {
			if err := f.write(ctx, gateway.Batch{Cursors: split}); err != nil {
				f.committed(0, err)
				return s, false
			}
		}
		if ok {
			return s, true
		}
		select {
		case <-t.more:
		case <-ctx.Done():
			return s, false
		}
	}
}

// firstStretch is the stretch to be delivered first. Where the newest is, a long one is split; then split is to be written.
func (f *Forwarder) firstStretch(t *track) (s stretch, split []gateway.CursorMove, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(t.backlog)
	if n == 0 {
		return s, nil, false
	}
	if f.o.Backlog != NewestFirst {
		return t.backlog[0], nil, true
	}
	newest := &t.backlog[n-1]
	if newest.to-newest.at <= newestStretch || n >= 2*maxStretches {
		return *newest, nil, true
	}
	s = stretch{from: newest.to - newestStretch + 1, at: newest.to - newestStretch, to: newest.to}
	newest.to = s.at
	split = append(t.moves(newest), t.moves(&s)...)
	t.backlog = append(t.backlog, s)
	return s, split, true
}

// overtaken remembers how far a stretch has come, and says whether another one is to be delivered first now.
func (f *Forwarder) overtaken(t *track, s *stretch, at gateway.Offset) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(t.backlog, func(other stretch) bool { return other.from == s.from })
	if i < 0 {
		return true
	}
	t.backlog[i].at = at
	s.to = t.backlog[i].to
	return f.o.Backlog == NewestFirst && i < len(t.backlog)-1
}

// endStretch forgets a stretch that is delivered.
func (f *Forwarder) endStretch(ctx context.Context, t *track, from gateway.Offset) error {
	f.mu.Lock()
	i := slices.IndexFunc(t.backlog, func(s stretch) bool { return s.from == from })
	if i < 0 || t.backlog[i].at < t.backlog[i].to { // it became longer meanwhile
		f.mu.Unlock()
		return nil
	}
	s := t.backlog[i]
	t.backlog = slices.Delete(t.backlog, i, i+1)
	f.mu.Unlock()
	name := t.stretchCursor(&s)
	if err := f.write(ctx, gateway.Batch{Forget: []string{name, name + "/to"}}); err != nil {
		return fmt.Errorf("forwarder %q: end the backlog up to %d: %w", f.o.Name, s.to, err)
	}
	return nil
}

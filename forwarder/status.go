package forwarder

import (
	"maps"
	"time"

	"gateway"
)

// Status is a snapshot.
func (f *Forwarder) Status() gateway.ForwarderStatus {
	logStatus := f.o.Log.Status()
	now := time.Now()
	requeued := f.requeue.waiting()
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.status
	s.Settled, s.Waiting, s.Lag = f.settledAllLocked(), 0, 0
	s.Month, s.MonthLimit = f.spent.month.Bytes, f.o.Budget.Month
	if from := max(s.Settled, max(logStatus.First, 1)-1); logStatus.Last > from {
		s.Waiting = uint64(logStatus.Last - from)
	}
	for _, l := range f.lanes {
		ls := l.status(logStatus, now)
		s.Lag = max(s.Lag, ls.Lag)
		s.Lanes = append(s.Lanes, ls)
	}
	s.Letters, s.LetterBytes = len(f.book.letters), f.book.bytes
	s.Replays, s.Requeued = f.replays.status(), requeued
	s.Answers = maps.Clone(f.status.Answers)
	if s.Waiting > 0 && s.State == gateway.StateIdle {
		s.State = gateway.StateDelivering
	}
	if s.Waiting == 0 {
		s.Lag = 0
	}
	return s
}

// status is a snapshot of the lane. f.mu is held.
func (l *lane) status(log gateway.LogStatus, now time.Time) gateway.LaneStatus {
	s := l.counts
	s.Name, s.Priority, s.Backlog, s.Settled = l.name, l.track.priority, l.isBacklog(), l.settled
	s.Waiting = l.waiting(log)
	oldest := l.oldest
	if oldest.IsZero() && l.inHand != nil {
		oldest = l.inHand.oldest()
	}
	if s.Waiting > 0 && !oldest.IsZero() {
		s.Lag = max(now.Sub(oldest), 0)
	}
	if s.Delivered > 0 {
		s.WaitingBytes = s.Waiting * (s.Bytes / s.Delivered)
	}
	s.Rate = l.rate.now(now)
	if s.Rate > 0 && s.Waiting > 0 {
		s.ETA = time.Duration(min(float64(s.Waiting)/s.Rate, 1e9) * float64(time.Second))
	}
	return s
}

// waiting counts the offsets that the lane has still to look at. f.mu is held.
func (l *lane) waiting(log gateway.LogStatus) (n uint64) {
	if !l.isBacklog() {
		if from := max(l.settled, max(log.First, 1)-1); log.Last > from {
			n = uint64(log.Last - from)
		}
		return n
	}
	for _, s := range l.track.backlog {
		if from := max(s.at, max(log.First, 1)-1); s.to > from {
			n += uint64(s.to - from)
		}
	}
	return n
}

// settledAll is the place up to which everything is settled, by every lane.
func (f *Forwarder) settledAll() gateway.Offset {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.settledAllLocked()
}

func (f *Forwarder) settledAllLocked() gateway.Offset {
	at := f.lanes[0].settled
	for _, l := range f.lanes {
		if !l.isBacklog() {
			at = min(at, l.settled)
		}
		for _, s := range l.track.backlog {
			at = min(at, s.at)
		}
	}
	return at
}

func (f *Forwarder) started() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.enter(gateway.StateIdle)
}

func (f *Forwarder) stopped() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.deaths.log(f.o.Logger)
	f.enter(gateway.StateStopped)
}

// enter changes the state, under f.mu.
func (f *Forwarder) enter(state string) {
	if f.status.State != state {
		f.status.State, f.status.Since = state, time.Now()
	}
}

// waits says that the lane has nothing to deliver.
func (f *Forwarder) waits(l *lane) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l.oldest = time.Time{}
	if f.trouble.failures > 0 {
		return
	}
	for _, other := range f.lanes {
		if !other.oldest.IsZero() {
			return
		}
	}
	f.enter(gateway.StateIdle)
}

// took says that the lane has events in hand, the oldest of which was received then.
func (f *Forwarder) took(l *lane, received time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l.oldest = received
	if f.status.State == gateway.StateIdle {
		f.enter(gateway.StateDelivering)
	}
}

// settledTo counts what the lane settled of b, which leads to the offset to.
func (f *Forwarder) settledTo(l *lane, to gateway.Offset, b *batch, delivered, skipped, dead int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l.rate.add(uint64(max(to, l.settled)-l.settled), time.Now())
	l.settled = to
	if !l.isBacklog() {
		l.track.live = to
	}
	l.counts.Delivered += uint64(delivered)
	if l.job == nil {
		f.status.Delivered += uint64(delivered)
		f.status.Skipped += uint64(skipped)
		f.status.DeadLettered += uint64(dead)
	} else {
		l.job.counted(delivered, skipped, dead, 0)
	}
	l.oldest = time.Time{}
	if b.settled < len(b.entries) {
		l.oldest = b.entries[b.settled].Received
	}
}

// remember keeps what was delivered last, for a probe, and counts bytes. dead are those of the first upTo that were not.
func (f *Forwarder) remember(l *lane, b *batch, upTo int, dead []casualty) {
	f.mu.Lock()
	defer f.mu.Unlock()
	newest, next := -1, 0
	for i := range b.matched[:upTo] {
		if next < len(dead) && dead[next].place == i {
			next++
			continue
		}
		l.counts.Bytes += uint64(len(b.matched[i].Event.Data))
		newest = i
	}
	if newest < 0 {
		return
	}
	last := b.matched[newest]
	last.Event.Data = append([]byte(nil), last.Event.Data...) // not its whole block
	f.recent = last
}

// duplicates counts what the receiver said that it knew.
func (f *Forwarder) duplicates(l *lane, n int) {
	if n == 0 {
		return
	}
	f.mu.Lock()
	f.status.Duplicates += uint64(n)
	f.mu.Unlock()
	if l.job != nil {
		l.job.counted(0, 0, 0, n)
	}
}

// undecided counts conditions that said nothing about the event at offset, and logs one in an interval.
func (f *Forwarder) undecided(offset gateway.Offset, errs []error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.Undecided += uint64(len(errs))
	if now := time.Now(); now.Sub(f.puzzled) >= repeatEvery {
		f.puzzled = now
		f.o.Logger.Warn("a condition says nothing about an event, which does not go by that route", "offset", uint64(offset), "cause", errs[0], "so far", f.status.Undecided)
	}
}

// trustedNow is the time by which events expire, zero while the clock is not synchronised: then none does.
func (f *Forwarder) trustedNow() time.Time {
	if f.trusted != nil && !f.trusted() {
		return time.Time{}
	}
	return time.Now()
}

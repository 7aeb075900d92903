package forwarder

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"gateway"
)

// lane is one ordered way through the log: the live events of a priority, or its backlog. All lanes share the sink.
type lane struct {
	f     *Forwarder
	place int // at the gate
	track *track
	name  string
	job   *job // of a lane that delivers what was asked for; nil for the others

	// What follows is its goroutine's.
	cursor  string
	end     gateway.Offset // the last offset of the stretch it is at; 0: there is none
	saved   savedCursor
	trial   trial
	pace    pace
	backoff backoff
	ahead   *prefetch
	reading sync.WaitGroup
	stop    context.CancelFunc // of ahead

	// What follows is guarded by f.mu.
	settled gateway.Offset
	oldest  time.Time // when the oldest event in hand was received; zero if none is
	inHand  *prefetch
	counts  gateway.LaneStatus
	rate    rate
}

func (f *Forwarder) newLane(t *track, place int) *lane {
	l := &lane{f: f, place: place, track: t, cursor: t.base, settled: t.live, backoff: backoff{min: f.o.RetryMin, max: f.o.RetryMax}}
	l.name = "live"
	if place == placeBacklog {
		l.name = "backlog"
	}
	if len(f.routing.priorities) > 1 {
		l.name = fmt.Sprintf("priority %d %s", t.priority, l.name)
	}
	return l
}

func (l *lane) isBacklog() bool { return l.place == placeBacklog }

// run delivers until ctx ends. Its error is the log's, and final.
func (l *lane) run(ctx, sending context.Context) error {
	defer l.leave()
	if !l.isBacklog() {
		return l.follow(ctx, sending)
	}
	for {
		s, ok := l.f.nextStretch(ctx, l.track)
		if !ok {
			return nil
		}
		if err := l.catchUp(ctx, sending, s); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// follow delivers what comes.
func (l *lane) follow(ctx, sending context.Context) error {
	l.begin(ctx, l.track.live, 0)
	for {
		err := l.deliverNext(ctx, sending)
		switch {
		case errors.Is(err, errMoved):
			l.begin(ctx, l.track.live, 0)
		case err != nil:
			return err
		case ctx.Err() != nil:
			return l.saveCursor(ctx)
		}
	}
}

// catchUp delivers a stretch of the backlog, until it is done or another one comes first.
func (l *lane) catchUp(ctx, sending context.Context, s stretch) error {
	l.cursor = l.track.stretchCursor(&s)
	l.begin(ctx, s.at, s.to)
	for l.saved.position() < s.to {
		if err := l.deliverNext(ctx, sending); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return l.saveCursor(ctx)
		}
		if l.f.overtaken(l.track, &s, l.saved.position()) {
			return l.saveCursor(ctx)
		}
		if s.to != l.end {
			l.begin(ctx, l.saved.position(), s.to)
		}
	}
	l.leave()
	return l.f.endStretch(ctx, l.track, s.from)
}

// begin reads what is behind after, up to end if that is not 0.
func (l *lane) begin(ctx context.Context, after, end gateway.Offset) {
	l.leave()
	l.end, l.saved = end, savedCursor{at: after}
	l.open(ctx, after)
	l.f.mu.Lock()
	defer l.f.mu.Unlock()
	l.settled = after
}

func (l *lane) open(ctx context.Context, after gateway.Offset) {
	ctx, l.stop = context.WithCancel(ctx)
	ahead := newPrefetch(l.f.o.Log.NewReader(after), l.f.o.BatchSize, l.f.o.BatchBytes)
	l.ahead = ahead
	l.reading.Go(func() { ahead.run(ctx) })
	l.f.mu.Lock()
	defer l.f.mu.Unlock()
	l.inHand = ahead
}

// leave stops reading.
func (l *lane) leave() {
	if l.ahead == nil {
		return
	}
	l.stop()
	l.reading.Wait()
	if err := l.ahead.reader.Close(); err != nil {
		l.f.o.Logger.Warn("a reader of the log cannot be closed", "err", err)
	}
	l.ahead = nil
	l.f.mu.Lock()
	defer l.f.mu.Unlock()
	l.inHand, l.oldest = nil, time.Time{}
}

// errMoved says that the lane has another place now: what it had in hand is the backlog's.
var errMoved = errors.New("moved")

// deliverNext takes what was read and delivers it. An error of the log's on reading, such as a damaged block, stops this lane
// only for as long as it lasts.
func (l *lane) deliverNext(ctx, sending context.Context) error {
	f := l.f
	if f.o.Linger > 0 && !l.isBacklog() && !f.spent.urgent(l.track.priority) {
		l.ahead.ripen(ctx, f.o.Linger)
	}
	entries, err := l.ahead.take(ctx, func() { f.waits(l) })
	if ctx.Err() != nil {
		return nil
	}
	if errors.Is(err, gateway.ErrClosed) {
		return fmt.Errorf("forwarder %q: read the log: %w", f.o.Name, err)
	}
	if err != nil {
		f.unreadable(err, l.saved.at)
		after := l.saved.position()
		l.leave()
		if pause(ctx, f.o.RetryMax) {
			l.open(ctx, after)
		}
		return nil
	}
	entries = l.until(entries)
	for len(entries) > 0 && ctx.Err() == nil {
		f.took(l, entries[0].Received)
		n := firstBatch(entries, f.o.BatchSize, f.o.BatchBytes)
		if err := l.deliver(ctx, sending, entries[:n]); err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

// until cuts off what is behind the lane's end.
func (l *lane) until(entries []gateway.Entry) []gateway.Entry {
	if l.end == 0 {
		return entries
	}
	for i := range entries {
		if entries[i].Offset >= l.end {
			if entries[i].Offset == l.end || isGap(&entries[i].Event) {
				i++
			}
			if i == 0 { // the rest of it is not there any more
				l.saved.skipped = l.end
			}
			return entries[:i]
		}
	}
	return entries
}

// firstBatch is how many of entries make one batch: at most max, and about most bytes, and at least one.
func firstBatch(entries []gateway.Entry, max, most int) int {
	bytes := 0
	for i := range entries {
		bytes += sizeOf(&entries[i])
		if i == max || i > 0 && bytes > most {
			return i
		}
	}
	return len(entries)
}

// sizeOf is about what an entry takes in memory.
func sizeOf(e *gateway.Entry) int { return len(e.Event.Data) + len(e.Event.Subject) + 256 }

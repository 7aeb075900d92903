package forwarder

import (
	"context"
	"encoding/json"
	"time"

	"gateway"
)

// Sizer is a sink that knows how many bytes an event takes on its line. Safe for concurrent use.
type Sizer interface {
	SizeOf(e *gateway.Entry) int
}

// holdMost is how long a wait for a budget is without a look at whether something has changed.
const holdMost = time.Minute

// saveSpent is how many bytes, or how much time, may pass until what was spent of the month is written down: after a crash the
// budget may be exceeded by as much.
const (
	saveSpentBytes = 1 << 20
	saveSpentTime  = 5 * time.Minute
)

func spentKey(name string) string { return "spent/" + name }

// bytesOf is what the event takes on the line.
func (f *Forwarder) bytesOf(e *gateway.Entry) int {
	if s, ok := f.o.Sink.(Sizer); ok {
		return s.SizeOf(e)
	}
	return sizeOf(e)
}

// late says whether what the lane has in hand counts as backlog. Where live events come first, only what is in that lane does.
func (l *lane) late(b *batch) bool {
	if l.f.o.CatchUp == LiveFirst || l.isBacklog() {
		return l.isBacklog()
	}
	return time.Since(b.matched[0].Received) > behindTime+l.f.o.Linger
}

// afford waits until the first n events of the batch, or at least one, are within the budget, and returns how many of them are; 0 if ctx ended.
func (l *lane) afford(ctx context.Context, b *batch, n int) int {
	f := l.f
	if f.spent.free() {
		return n
	}
	for ctx.Err() == nil {
		late := l.late(b)
		f.mu.Lock()
		n, bytes := f.within(b, n, late)
		now := time.Now()
		wait, why := f.spent.wait(bytes, n, late, l.track.priority, now)
		if wait == 0 {
			f.spent.take(bytes, n, late, now)
			save := f.unsaved(bytes, now)
			f.mu.Unlock()
			f.saveSpent(ctx, save)
			return n
		}
		if why != "" {
			f.hold(why)
		}
		f.mu.Unlock()
		pause(ctx, min(wait, holdMost))
	}
	return 0
}

// within is how many of n events a full bucket holds, and their bytes. f.mu is held.
func (f *Forwarder) within(b *batch, n int, late bool) (count, bytes int) {
	most, events := f.spent.limits(late)
	if events > 0 {
		n = min(n, max(events, 1))
	}
	for i := range b.matched[:n] {
		size := f.bytesOf(&b.matched[i])
		if i > 0 && most > 0 && bytes+size > most {
			return i, bytes
		}
		bytes += size
	}
	return n, bytes
}

// hold says for what delivery waits. f.mu is held.
func (f *Forwarder) hold(why string) {
	if f.status.Held != why {
		f.o.Logger.Info("delivery waits", "for", why)
	}
	f.status.Held = why
	f.enter(gateway.StateHeld)
}

// unsaved counts what was spent, and returns what is to be written down now, nil for nothing. f.mu is held.
func (f *Forwarder) unsaved(bytes int, now time.Time) []byte {
	if f.o.Budget.Month == 0 {
		return nil
	}
	f.spentSince += bytes
	if f.spentSince < saveSpentBytes && now.Sub(f.spentSaved) < saveSpentTime {
		return nil
	}
	value, err := json.Marshal(f.spent.month)
	if err != nil {
		return nil
	}
	f.spentSince, f.spentSaved = 0, now
	return value
}

func (f *Forwarder) saveSpent(ctx context.Context, value []byte) {
	if value == nil {
		return
	}
	if err := f.write(ctx, gateway.Batch{KV: []gateway.KeyValue{{Key: spentKey(f.o.Name), Value: value}}}); err != nil {
		f.o.Logger.Warn("what was sent this month cannot be written down", "err", err)
	}
}

package forwarder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gateway"
)

// Sizer is a sink that knows how many bytes an event takes on its line. Safe for concurrent use.
type Sizer interface {
	SizeOf(e *gateway.Entry) int
}

// holdMost is how long a wait for a budget is without a look at whether something has changed.
const holdMost = 5 * time.Second

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

// bill is what a Send costs. What has expired costs nothing.
type bill struct {
	bytes, events int
	late          bool
}

// afford waits until the first n events of the batch, or at least one, are within the budget; false if ctx ended.
func (l *lane) afford(ctx context.Context, b *batch, n int, now time.Time) bool {
	f := l.f
	for !f.spent.free() {
		f.mu.Lock()
		_, _, wait, why := l.price(b, n, now)
		if wait > 0 && why != "" {
			f.hold(why)
		}
		f.mu.Unlock()
		if wait == 0 {
			break
		}
		if !pause(ctx, min(wait, holdMost)) {
			return false
		}
	}
	return ctx.Err() == nil
}

// pay takes the first n events of the batch, or as many as are within the budget, off it, and returns how many they are, and what they cost. 0: none is within
// the budget any more.
func (l *lane) pay(ctx context.Context, b *batch, n int, now time.Time) (int, bill) {
	f := l.f
	if f.spent.free() {
		return n, bill{}
	}
	f.mu.Lock()
	n, due, wait, _ := l.price(b, n, now)
	if wait > 0 {
		f.mu.Unlock()
		return 0, bill{}
	}
	f.spent.take(due.bytes, due.events, due.late, time.Now())
	save := f.unsaved(due.bytes, time.Now())
	f.mu.Unlock()
	f.saveSpent(ctx, save)
	return n, due
}

// price is how many of the first n events may be sent together, what they cost, and how long until that is within the budget, and what for. f.mu is held.
func (l *lane) price(b *batch, n int, now time.Time) (count int, due bill, wait time.Duration, why string) {
	late := l.late(b)
	count, due = l.f.within(b, n, late, l.track.priority, now)
	wait, why = l.f.spent.wait(due.bytes, due.events, late, l.track.priority, time.Now())
	return count, due, wait, why
}

// within is how many of n events a full bucket and the rest of the month hold, and what they cost. f.mu is held.
func (f *Forwarder) within(b *batch, n int, late bool, priority int, now time.Time) (count int, due bill) {
	most, events := f.spent.limits(late, priority)
	due.late = late
	for i := range b.matched[:n] {
		if !now.IsZero() && b.expired(i, now) {
			continue
		}
		size := f.bytesOf(&b.matched[i])
		if due.events > 0 && (most > 0 && due.bytes+size > most || events > 0 && due.events == events) {
			return i, due
		}
		due.bytes += size
		due.events++
	}
	return n, due
}

// tooMuch is why an event is set aside that a whole month's budget has no room for.
func (f *Forwarder) tooMuch(e *gateway.Entry, priority int) error {
	month := f.o.Budget.Month
	if month == 0 || f.spent.urgent(priority) {
		return nil
	}
	size := int64(f.bytesOf(e))
	if size <= month {
		return nil
	}
	return gateway.Permanent(fmt.Errorf("it takes %d bytes, which is more than budget.month, %d", size, month))
}

// refund gives back what was not sent.
func (f *Forwarder) refund(unused bill) {
	if unused.bytes == 0 && unused.events == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spent.take(-unused.bytes, -unused.events, unused.late, time.Now())
	f.spentSince -= unused.bytes
}

// correct makes the bill what was sent: nothing if the attempt came to nothing before it began.
func (f *Forwarder) correct(b bill, part []gateway.Entry, err error) {
	if f.spent.free() {
		return
	}
	if !errors.Is(err, gateway.ErrUnsent) {
		for i := range part {
			b.bytes -= f.bytesOf(&part[i])
		}
		b.events -= len(part)
	}
	f.refund(b)
}

// charge takes off what is sent whatever the budget says.
func (f *Forwarder) charge(sent []gateway.Entry, late bool) {
	f.correct(bill{late: late}, sent, nil)
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

// saveAllSpent writes down what was spent, at the end of a run.
func (f *Forwarder) saveAllSpent() {
	f.mu.Lock()
	var value []byte
	if f.o.Budget.Month > 0 && f.spentSince != 0 {
		value, _ = json.Marshal(f.spent.month) // it has nothing that JSON has no form for
		f.spentSince, f.spentSaved = 0, time.Now()
	}
	f.mu.Unlock()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	f.saveSpent(ended, value)
}

func (f *Forwarder) saveSpent(ctx context.Context, value []byte) {
	if value == nil {
		return
	}
	if err := f.write(ctx, gateway.Batch{KV: []gateway.KeyValue{{Key: spentKey(f.o.Name), Value: value}}}); err != nil {
		f.o.Logger.Warn("what was sent this month cannot be written down", "err", err)
	}
}

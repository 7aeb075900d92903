package forwarder

import (
	"context"
	"errors"
	"time"

	"gateway"
)

// batch is what is delivered together, and how far it has come.
type batch struct {
	entries  []gateway.Entry // as read
	matched  []gateway.Entry // those for the sink, by this lane; entries itself if all are
	routes   []*Route        // of matched; nil if all have anyRoute
	skips    []bool          // of entries, those that no lane delivers; nil if all that are not matched are
	settled  int             // of entries
	attempts int             // of Send with what is left
	first    time.Time       // the first attempt
	last     time.Time       // the last attempt
}

// deliver sends entries until all are settled, or ctx has ended. Its error is the log's, or errMoved.
func (l *lane) deliver(ctx, sending context.Context, entries []gateway.Entry) error {
	b := l.newBatch(entries)
	if len(b.matched) == 0 {
		return l.skip(ctx, b)
	}
	for len(b.matched) > 0 && ctx.Err() == nil {
		if l.f.moves(l) {
			moved, err := l.f.moveOn(ctx, l)
			if err != nil {
				return err
			}
			if moved {
				return errMoved
			}
		}
		if err := l.step(ctx, sending, b); err != nil {
			return err
		}
	}
	return nil
}

// step sends a part of the batch, as soon as it may, or sets aside what is not to be sent at all. Its error is the log's.
func (l *lane) step(ctx, sending context.Context, b *batch) error {
	now := l.now()
	n, dead := l.unwanted(b, now)
	if n > 0 {
		return l.settle(ctx, b, n, dead)
	}
	l.trial.about(b.matched[0].Offset)
	if n = l.timely(ctx, b, l.share(b)); n == 0 {
		return nil
	}
	if n = l.job.throttle(ctx, n); n == 0 {
		return nil
	}
	for l.afford(ctx, b, n, now) && l.f.gate.enter(ctx, l.place, l.track.priority, l.trial.on()) {
		n, paid := l.pay(ctx, b, n, now)
		if n == 0 { // another lane was faster
			l.f.gate.leave(l.place)
			continue
		}
		defer l.f.gate.leave(l.place)
		if l.trial.probes() {
			l.f.refund(paid)
			return l.probe(ctx, sending, b)
		}
		return l.attempt(ctx, sending, b, n, paid)
	}
	return nil
}

// newBatch finds what of entries is for the sink, by this lane.
func (l *lane) newBatch(entries []gateway.Entry) *batch {
	f := l.f
	b := &batch{entries: entries}
	if f.routing.all() && len(f.memory.Handovers) == 0 && !l.isBacklog() {
		b.matched = entries
		if len(f.routing.routes) > 0 && f.routing.routes[0].TTL > 0 {
			b.routes = make([]*Route, len(entries))
			for i := range b.routes {
				b.routes[i] = &f.routing.routes[0]
			}
		}
		return b
	}
	b.skips = make([]bool, len(entries))
	lowest := l.track.priority == f.routing.lowest()
	for i := range entries {
		e := &entries[i]
		route, own := l.routeOf(e, lowest)
		if route == nil {
			b.skips[i] = own
			continue
		}
		b.matched = append(b.matched, *e)
		b.routes = append(b.routes, route)
		switch sent := &b.matched[len(b.matched)-1].Event; {
		case l.job != nil:
			l.job.mark(sent)
		case l.isBacklog():
			markBackfill(sent)
		}
	}
	return b
}

// skipped counts those of the entries from up to (without) to that no lane delivers; matched of them this one does.
func (b *batch) skipped(from, to, matched int) (n int) {
	if b.skips == nil {
		return to - from - matched
	}
	for _, skip := range b.skips[from:to] {
		if skip {
			n++
		}
	}
	return n
}

// routeOf returns the route by which e goes in this lane; nil if it does not. own: then it is this lane that counts it as skipped.
func (l *lane) routeOf(e *gateway.Entry, lowest bool) (route *Route, own bool) {
	f := l.f
	if l.job != nil {
		if l.job.takes == nil || l.job.takes(e) {
			return anyRoute, true
		}
		return nil, true
	}
	if isGap(&e.Event) { // what was lost may have been for us
		if lowest {
			return anyRoute, true
		}
		return nil, false
	}
	for i := range f.memory.Handovers {
		if f.memory.Handovers[i].settled(e) {
			return nil, false
		}
	}
	route, undecided := f.routing.decide(&e.Event)
	if len(undecided) > 0 && lowest {
		f.undecided(e.Offset, undecided)
	}
	if route == nil {
		return nil, lowest
	}
	if route.Priority != l.track.priority {
		return nil, false
	}
	return route, true
}

// markBackfill says in the event that it comes behind newer ones. The event that was read may be shared.
func markBackfill(e *gateway.Event) {
	withExtension(e, gateway.ExtBackfill, "true")
}

// share is how many of the batch are sent at once.
func (l *lane) share(b *batch) int {
	n := l.trial.limit(len(b.matched))
	if l.isBacklog() {
		n = l.pace.limit(n)
	}
	return n
}

// attempt sends the first n events of the batch that are not expired, and settles what can be. After a failure nothing of its priority
// enters the gate before the pause that it asks for. What does not go out is taken off the bill. Its error is the log's.
func (l *lane) attempt(ctx, sending context.Context, b *batch, n int, paid bill) error {
	f := l.f
	part, places, expired := b.part(n, l.now())
	if len(part) == 0 {
		f.refund(paid)
		return l.settle(ctx, b, n, expired)
	}
	b.last = time.Now()
	if b.attempts == 0 {
		b.first = b.last
	}
	b.attempts++
	err := f.o.Sink.Send(sending, part)
	took := time.Since(b.last)
	f.correct(paid, part, err)
	done, dead, cause := outcome(part, err)
	f.noteAttempt(l, part, b.last, took, done, err)
	f.duplicates(l, known(err, done))
	if errors.Is(err, gateway.ErrPermanent) && len(part) > 1 && done == len(part) && len(dead) == len(part) {
		// Refused as a whole: which of them it is about is found out.
		l.trial.refused(len(part))
		f.attempted(nil, len(part))
		return nil
	}
	upTo := n
	switch {
	case done == len(part):
	case places == nil:
		upTo = done
	default:
		upTo = places[done]
	}
	stopped := cause != nil && sending.Err() != nil // shutdown is not an attempt
	if !stopped {
		f.attempted(cause, len(part)-done)
	}
	if upTo > 0 {
		l.backoff.progress()
		l.trial.progressed(f.o.BatchSize)
		dead = b.inBatch(dead, places, expired, upTo)
		f.remember(l, b, upTo, dead)
		if err := l.settle(ctx, b, upTo, dead); err != nil {
			return err
		}
		if b.attempts = 0; cause != nil { // the first of what is left has failed once
			b.attempts, b.first = 1, b.last
		}
	}
	switch {
	case stopped:
		return nil
	case cause == nil:
		l.pace.sent(len(part), took)
		f.gate.mark(false)
		f.wasUp.Store(true)
		return nil
	}
	if upTo == 0 {
		l.trial.failed(len(part), cause)
	}
	l.failed(cause)
	return nil
}

// failed lets the lane, and all that is not more urgent, wait after a failure.
func (l *lane) failed(cause error) {
	down := down(cause)
	l.f.gate.mark(down)
	l.f.gate.hold(l.track.priority, l.backoff.after(cause), !down)
}

// unwanted is how many of the batch, from the first on, are not to be sent at all: what has expired, and what no month's budget has room for. All of
// them are dead. now is that of the lane (see now).
func (l *lane) unwanted(b *batch, now time.Time) (n int, dead []casualty) {
	for n < len(b.matched) {
		err := l.f.tooMuch(&b.matched[n], l.track.priority)
		if !now.IsZero() && b.expired(n, now) {
			err = errExpired
		}
		if err == nil {
			break
		}
		dead = append(dead, casualty{n, err})
		n++
	}
	return n, dead
}

// now is the time by which the lane's events expire; zero if none does.
func (l *lane) now() time.Time {
	switch {
	case l.job != nil: // somebody asked for it
		return time.Time{}
	case l.f.o.Acts: // see timely
		return time.Now()
	}
	return l.f.trustedNow()
}

// timely is how many of the first n events may be sent although the clock may not be known. A sink that acts on the world gets nothing that
// may be too old: what came in an earlier boot, and can expire, waits for the clock. 0 after a moment of that.
func (l *lane) timely(ctx context.Context, b *batch, n int) int {
	f := l.f
	if !f.o.Acts || l.job != nil || !f.trustedNow().IsZero() {
		return n
	}
	boot := f.o.Log.Status().BootFirst
	for i := range b.matched[:n] {
		if b.matched[i].Offset >= boot {
			break
		}
		if b.expires(i) {
			if i > 0 {
				return i
			}
			f.mu.Lock()
			f.hold("the clock is not synchronised, and the next event is of an earlier boot and may have expired")
			f.mu.Unlock()
			pause(ctx, time.Second)
			return 0
		}
	}
	return n
}

// down says whether a failure means that there is no getting through now.
func down(cause error) bool {
	var wait *gateway.RetryAfter
	return !errors.As(cause, &wait)
}

// part returns those of the first n matched events that have not expired, their places among the matched (nil: the same), and the others.
// now is zero where nothing expires.
func (b *batch) part(n int, now time.Time) (part []gateway.Entry, places []int, expired []casualty) {
	if now.IsZero() {
		return b.matched[:n], nil, nil
	}
	first := 0
	for first < n && !b.expired(first, now) {
		first++
	}
	if first == n {
		return b.matched[:n], nil, nil
	}
	for i := range b.matched[:n] {
		if i >= first && b.expired(i, now) {
			expired = append(expired, casualty{i, errExpired})
			continue
		}
		part = append(part, b.matched[i])
		places = append(places, i)
	}
	return part, places, expired
}

// expires says whether the matched event i ever does.
func (b *batch) expires(i int) bool {
	route := anyRoute
	if b.routes != nil {
		route = b.routes[i]
	}
	_, ok := expiry(&b.matched[i], route)
	return ok
}

// expired says whether the matched event i is not worth delivering any more.
func (b *batch) expired(i int, now time.Time) bool {
	route := anyRoute
	if b.routes != nil {
		route = b.routes[i]
	}
	if route.TTL == 0 && len(b.matched[i].Event.Extensions) == 0 {
		return false
	}
	at, ok := expiry(&b.matched[i], route)
	return ok && !now.Before(at)
}

// inBatch makes one list, in order, of the dead of a part and the expired, up to (without) the place upTo.
func (b *batch) inBatch(dead []casualty, places []int, expired []casualty, upTo int) []casualty {
	if places != nil {
		for i := range dead {
			dead[i].place = places[dead[i].place]
		}
	}
	if len(expired) == 0 {
		return dead
	}
	var all []casualty
	for len(dead) > 0 || len(expired) > 0 {
		from := &dead
		if len(dead) == 0 || len(expired) > 0 && expired[0].place < dead[0].place {
			from = &expired
		}
		if (*from)[0].place < upTo {
			all = append(all, (*from)[0])
		}
		*from = (*from)[1:]
	}
	return all
}

package demo

import (
	"context"
	"maps"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"gateway/internal/faultproxy"
)

// What can happen to the line.
const (
	lineUp     = "up"
	lineCut    = "cut"    // no connection, none can be made
	lineReset  = "reset"  // the connection is reset in the middle of something; the next one works
	lineClose  = "close"  // the connection is closed in order; the next one works
	lineSilent = "silent" // connections stay and pass nothing, as with a pulled cable
)

// troubles is the order in which a run goes through them, so that a short one sees the worst.
var troubles = [...]string{lineCut, lineReset, lineSilent, lineClose}

// line is the connection between gateway and upstream, and what happens to it.
type line struct {
	proxy *faultproxy.Proxy
	rng   *rand.Rand
	pace  time.Duration // how long the line holds, and how long it fails, are about this

	mu    sync.Mutex // guards what follows
	state string
	since time.Time
	cuts  map[string]int
}

func newLine(proxy *faultproxy.Proxy, seed uint64, pace time.Duration) *line {
	return &line{
		proxy: proxy, rng: rand.New(rand.NewPCG(seed, 0xca61e)), pace: pace,
		state: lineUp, since: time.Now(), cuts: map[string]int{},
	}
}

// run makes trouble until ctx ends, and leaves the line up.
func (l *line) run(ctx context.Context) {
	defer l.mend()
	for round := 0; wait(ctx, l.about()); round++ {
		trouble := troubles[round%len(troubles)]
		if round >= len(troubles) {
			trouble = troubles[l.rng.IntN(len(troubles))]
		}
		if !l.happen(ctx, trouble) {
			return
		}
		l.mend()
	}
}

// happen makes one kind of trouble, for as long as it takes. It returns false if ctx ended.
func (l *line) happen(ctx context.Context, trouble string) bool {
	switch trouble {
	case lineCut:
		l.proxy.SetDown()
	case lineSilent:
		l.proxy.Hold()
		l.proxy.Cut(faultproxy.Silence)
	case lineReset:
		return l.midFlight(ctx, trouble, faultproxy.Reset)
	case lineClose:
		return l.midFlight(ctx, trouble, faultproxy.Close)
	}
	l.enter(trouble)
	return wait(ctx, l.about())
}

// midFlight cuts the connection behind a few bytes of what the upstream answers: between a publish and its acknowledgement.
func (l *line) midFlight(ctx context.Context, trouble string, how faultproxy.How) bool {
	fired := l.proxy.CutAfterBytes(faultproxy.Down, 1+l.rng.Int64N(64), how)
	select {
	case <-fired:
	case <-time.After(l.pace):
		l.disarm()
		l.proxy.Cut(how) // nothing was on its way
	case <-ctx.Done():
		l.disarm()
		return false
	}
	l.enter(trouble)
	return wait(ctx, min(l.pace/4, time.Second)) // for the eye; the line is up again already
}

// disarm puts the cut that waits for bytes off, to a day that does not come.
func (l *line) disarm() { l.proxy.CutAfterBytes(faultproxy.Down, math.MaxInt64, faultproxy.Close) }

// mend brings the line back.
func (l *line) mend() {
	l.proxy.SetUp()
	l.proxy.Release()
	l.enter(lineUp)
}

func (l *line) enter(state string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if state == l.state {
		return
	}
	l.state, l.since = state, time.Now()
	if state != lineUp {
		l.cuts[state]++
	}
}

// now returns the state of the line, since when, and what happened to it so far.
func (l *line) now() (state string, since time.Time, cuts map[string]int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state, l.since, maps.Clone(l.cuts)
}

// about is a random time around the pace.
func (l *line) about() time.Duration {
	return l.pace/2 + time.Duration(l.rng.Int64N(int64(l.pace)))
}

// wait returns true after d, and false when ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

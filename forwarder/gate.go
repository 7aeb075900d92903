package forwarder

import (
	"context"
	"slices"
	"sync"
	"time"
)

// gate decides which lane may send. While the endpoint is well, one lane of live events and one of the backlog send at the same
// time; among those that wait for either place the highest priority is first. While it is not, one tries and all others wait. What failed is
// tried again after a pause, which holds for all of its priority and below: what is more urgent does not wait with it.
type gate struct {
	mu      sync.Mutex // guards what follows
	down    bool       // the last attempt failed
	busy    [2]bool    // by place
	alone   bool       // the one that is in wants to be alone
	waiting []*waiter  // the highest priority first, then in the order of their coming
	// failed and asked are until when a priority, and all below it, waits: for the link, and because the endpoint asked for it.
	failed, asked [priorities]time.Time
	timer         *time.Timer // of the next end of a pause; nil while nobody waits for one
}

// priorities is how many there are.
const priorities = MaxPriority + 1

// Places at the gate.
const (
	placeLive = iota
	placeBacklog
)

type waiter struct {
	place, priority int
	alone           bool          // nobody else may send meanwhile
	in              chan struct{} // closed when it may send
}

// enter waits for the place, and for the end of all pauses. It returns false if ctx ended first.
func (g *gate) enter(ctx context.Context, place, priority int, alone bool) bool {
	w := &waiter{place: place, priority: priority, alone: alone, in: make(chan struct{})}
	g.mu.Lock()
	at, _ := slices.BinarySearchFunc(g.waiting, priority, func(other *waiter, priority int) int {
		if other.priority >= priority {
			return -1
		}
		return 1
	})
	g.waiting = slices.Insert(g.waiting, at, w)
	g.admit()
	g.mu.Unlock()
	select {
	case <-w.in:
		return true
	case <-ctx.Done():
		return g.giveUp(w)
	}
}

// giveUp takes w out. It returns false.
func (g *gate) giveUp(w *waiter) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.waiting, w); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
	} else { // it was let in meanwhile
		g.busy[w.place], g.alone = false, g.alone && !w.alone
	}
	g.admit()
	return false
}

// leave gives the place back.
func (g *gate) leave(place int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy[place], g.alone = false, false // who is alone is the only one
	g.admit()
}

// mark says how the endpoint is. If it is well, nobody waits for the link any longer.
func (g *gate) mark(down bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.down = down
	if !down {
		g.failed = [priorities]time.Time{}
	}
	g.admit()
}

// hold lets all of that priority, and below, wait for d. asked: the endpoint said so, and it holds even if something else gets through.
func (g *gate) hold(priority int, d time.Duration, asked bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	until := &g.failed[priority]
	if asked {
		until = &g.asked[priority]
	}
	*until = time.Now().Add(d)
}

// wait is how long the priority has to wait. g.mu is held.
func (g *gate) wait(priority int, now time.Time) (d time.Duration) {
	for p := priority; p < priorities; p++ {
		d = max(d, g.failed[p].Sub(now), g.asked[p].Sub(now))
	}
	return d
}

func (g *gate) isDown() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.down
}

// admit lets in who may, now and at the end of the next pause. g.mu is held.
func (g *gate) admit() {
	now := time.Now()
	next := time.Duration(0)
	stop := false // one that wants to be alone is next
	g.waiting = slices.DeleteFunc(g.waiting, func(w *waiter) bool {
		if d := g.wait(w.priority, now); d > 0 {
			if next == 0 || d < next {
				next = d
			}
			return false
		}
		others := g.busy[placeLive] || g.busy[placeBacklog]
		if stop || g.busy[w.place] || g.alone || others && (g.down || w.alone) {
			stop = stop || w.alone
			return false
		}
		g.busy[w.place], g.alone = true, w.alone
		close(w.in)
		return true
	})
	if g.timer != nil {
		g.timer.Stop()
		g.timer = nil
	}
	if next > 0 {
		g.timer = time.AfterFunc(next, g.look)
	}
}

// look lets in those whose pause is over.
func (g *gate) look() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.admit()
}

package forwarder

import (
	"context"
	"slices"
	"sync"
)

// gate decides which lane may send. While the endpoint is well, one lane of live events and one of the backlog send at the same
// time; among those that wait for either place the highest priority is first. While it is not, one tries and all others wait.
type gate struct {
	mu      sync.Mutex // guards what follows
	down    bool       // the last attempt failed
	busy    [2]bool    // by place
	waiting []*waiter  // the highest priority first, then in the order of their coming
}

// Places at the gate.
const (
	placeLive = iota
	placeBacklog
)

type waiter struct {
	place, priority int
	in              chan struct{} // closed when it may send
}

// enter waits for the place. It returns false if ctx ended first.
func (g *gate) enter(ctx context.Context, place, priority int) bool {
	w := &waiter{place, priority, make(chan struct{})}
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
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.waiting, w); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
		return false
	}
	g.busy[place] = false // it was let in meanwhile
	g.admit()
	return false
}

// leave gives the place back.
func (g *gate) leave(place int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy[place] = false
	g.admit()
}

// mark says how the endpoint is.
func (g *gate) mark(down bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.down = down
	g.admit()
}

func (g *gate) isDown() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.down
}

// admit lets in who may. g.mu is held.
func (g *gate) admit() {
	g.waiting = slices.DeleteFunc(g.waiting, func(w *waiter) bool {
		if g.busy[w.place] || g.down && (g.busy[placeLive] || g.busy[placeBacklog]) {
			return false
		}
		g.busy[w.place] = true
		close(w.in)
		return true
	})
}

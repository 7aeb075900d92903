package mqtt

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// throttleEvery is the least time between two lines about the same trouble.
const throttleEvery = 30 * time.Second

// throttle logs a repeating trouble at first, then at intervals with a count, then once when it is over. Safe for
// concurrent use.
type throttle struct {
	log     *slog.Logger
	message string
	relief  string // the line when it is over; "" for none

	on    atomic.Bool
	mu    sync.Mutex
	last  time.Time // guarded by mu
	eased time.Time // when relief was last logged; guarded by mu
	count int       // since last; guarded by mu
}

// report logs, or counts. what is about the newest case, "" for nothing.
func (t *throttle) report(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.on.Store(true)
	t.count++
	now := time.Now()
	if !t.last.IsZero() && now.Sub(t.last) < throttleEvery {
		return
	}
	t.log.Warn(t.message, "times", t.count, "newest", what)
	t.last, t.count = now, 0
}

// over says that the trouble is over. It costs next to nothing if there was none.
func (t *throttle) over() {
	if !t.on.Load() || !t.on.Swap(false) || t.relief == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); t.eased.IsZero() || now.Sub(t.eased) >= throttleEvery {
		t.eased = now
		t.log.Info(t.relief)
	}
}

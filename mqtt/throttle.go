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

func (b *Broker) makeThrottles() {
	b.refused = &throttle{log: b.log, message: "connection refused"}
	b.denied = &throttle{log: b.log, message: "publish refused: before MQTT 5 its client is disconnected"}
	b.looping = &throttle{log: b.log, message: "event was here before: it is acknowledged and not stored; two gateways forward to each other"}
	b.unheard = &throttle{log: b.log, message: "subscription refused"}
	b.faulty = &throttle{log: b.log, message: "client disconnected over what it sent"}
	b.deaf = &throttle{log: b.log, message: "client disconnected: it does not read what is sent to it"}
	b.unfit = &throttle{log: b.log, message: "publish refused by the log: it can never take it"}
	b.full = &throttle{log: b.log, message: "log is full: publishes wait, QoS 0 is dropped", relief: "log has room again"}
	b.slowRoute = &throttle{log: b.log, message: "routing queue is full: publishes are not routed to local subscribers"}
	b.evicted = &throttle{log: b.log, message: "too many sessions without a connection: the one that was away longest is ended"}
	b.laggard = &throttle{log: b.log, message: "too much waits for subscribers that are away or slow: further deliveries to them are dropped"}
	b.hoard = &throttle{log: b.log, message: "no room to retain: the publish was stored and routed, but later subscribers will not get it"}
	b.crowded = &throttle{log: b.log, message: "too many connections: further ones are closed"}
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

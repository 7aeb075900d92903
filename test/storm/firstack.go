package storm

import (
	"sync"
	"time"
)

// firstAck remembers when the running process of the gateway acknowledged for the first time. Processes are numbered
// from 1. It is safe for concurrent use.
type firstAck struct {
	mu      sync.Mutex // guards what follows
	process int64
	acked   bool
	at      time.Time
}

// next says that another process is started, and that the one before is dead.
func (f *firstAck) next() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.process++
	f.acked = false
}

// current is the number of the running process.
func (f *firstAck) current() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.process
}

// acknowledged says that a publish to the process of that number was acknowledged.
func (f *firstAck) acknowledged(process int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if process == f.process && !f.acked {
		f.acked, f.at = true, time.Now()
	}
}

// when tells whether the running process has acknowledged, and since when.
func (f *firstAck) when() (at time.Time, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at, f.acked
}

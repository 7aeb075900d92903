package main

import (
	"os"
	"runtime"
	"runtime/debug"
)

const (
	// memoryLimit makes the collector work harder before the heap, stacks and the runtime's own take more, in bytes.
	// It is soft: memory in use is never refused.
	memoryLimit = 72 << 20
	// gcPercent is how much garbage may gather for each byte in use. Go's 100 is for machines with memory to spare.
	gcPercent = 50
	// calmRate is the events a second below which a burst is over, spareBound what may then be kept without use, in bytes.
	calmRate   = 1000
	spareBound = 2 << 20
)

// limitMemory suits the collector to small machines. What the environment says ($GOMEMLIMIT, $GOGC) comes first.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// ebb gives the memory of a burst back to the system when it is over: what waits is on the disk, and a line that is down for a
// month must not cost the neighbours on a small machine anything. It is called every lookEvery.
type ebb struct{ appended uint64 }

// look returns how many bytes it gave back. appended is the log's counter.
func (e *ebb) look(appended uint64) (released uint64) {
	calm := appended-e.appended < calmRate*uint64(lookEvery.Seconds())
	e.appended = appended
	if !calm {
		return 0
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if unused(&before) < spareBound {
		return 0
	}
	debug.FreeOSMemory()
	runtime.ReadMemStats(&after)
	return after.HeapReleased - min(after.HeapReleased, before.HeapReleased)
}

// unused is what the heap has of the system's memory without a known need: free spans, and what may have become garbage
// since the last collection.
func unused(m *runtime.MemStats) uint64 {
	garbage := m.HeapAlloc - min(m.HeapAlloc, m.NextGC*100/(100+gcPercent))
	return m.HeapIdle - m.HeapReleased + garbage
}

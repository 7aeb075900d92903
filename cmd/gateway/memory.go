package main

import (
	"os"
	"runtime/debug"
)

const (
	// memoryLimit makes the collector work harder before the heap, stacks and the runtime's own take more, in bytes.
	// It is soft: memory in use is never refused.
	memoryLimit = 72 << 20
	// gcPercent is how much garbage may gather for each byte in use. Go's 100 is for machines with memory to spare.
	gcPercent = 50
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

package main

import (
	"runtime"
	"testing"
)

// TestBurstIsGivenBack is not parallel: it looks at the heap of the whole process.
func TestBurstIsGivenBack(t *testing.T) {
	var e ebb
	e.look(0)
	burst := make([][]byte, 64)
	for i := range burst {
		burst[i] = make([]byte, 1<<20)
		for j := 0; j < len(burst[i]); j += 4096 {
			burst[i][j] = 1
		}
	}
	if got := e.look(1_000_000); got != 0 {
		t.Errorf("during the burst: got %d bytes given back, want 0", got)
	}
	runtime.KeepAlive(burst)
	runtime.GC() // the burst's memory is free now, and the process has it still
	if got := e.look(1_000_010); got < 32<<20 {
		t.Errorf("after the burst: got %d bytes given back, want at least 32 MiB", got)
	}
}

package buffer

import (
	"testing"
	"time"

	"gateway"
)

// TestOneEventAnIntervalForWhoWaits: a sender with one event in flight gets one acknowledgement an interval, which is what
// docs/flash.md says that it costs.
func TestOneEventAnIntervalForWhoWaits(t *testing.T) {
	t.Parallel()
	const interval, n = 200 * time.Millisecond, 5
	l := openLog(t, Options{CommitInterval: interval})
	start := time.Now()
	for range n {
		mustAppend(t, l, event("21.5"))
	}
	if took := time.Since(start); took < (n-1)*interval {
		t.Errorf("%d events one after the other took %s, want %s at least", n, took, (n-1)*interval)
	}
	if s := l.Status(); s.Commits < n {
		t.Errorf("got %d commits, want one for each event", s.Commits)
	}
}

// TestHalfAGroupDoesNotWait: however long the interval is, memory does not fill for it.
func TestHalfAGroupDoesNotWait(t *testing.T) {
	t.Parallel()
	l := openLog(t, Options{CommitInterval: time.Minute})
	mustCommit(t, l, gateway.Batch{Events: []gateway.Event{event(string(make([]byte, groupBound/2)))}})
	start := time.Now()
	mustCommit(t, l, gateway.Batch{Events: []gateway.Event{event(string(make([]byte, groupBound/2)))}})
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("half a group waited %s", took)
	}
}

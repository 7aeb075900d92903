package devices

import (
	"testing"
	"time"
)

// TestEventsOfAClockThatIsNotSetHaveNoTime: the log gives them its own, which it puts right when it knows better.
func TestEventsOfAClockThatIsNotSetHaveNoTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	synced := false
	r := newReporter(&Spec{Name: "door"}, &Common{Gateway: "a b", Synced: func() bool { return synced }}, nil)
	if e := r.event(EventInput, now, nil); !e.Time.IsZero() || e.Source != "//a%20b/devices/door" || e.Subject != "devices/door" {
		t.Errorf("got %+v", e)
	}
	synced = true
	if e := r.event(EventFault, now, nil); !e.Time.Equal(now) || e.Subject != "devices/door/fault" {
		t.Errorf("got %+v", e)
	}
}

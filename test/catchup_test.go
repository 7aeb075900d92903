package test

import (
	"fmt"
	"testing"

	vocabulary "gateway"
	"gateway/test/rig"
)

// TestKilledDuringCatchUp kills the gateway again and again while its backlog goes up beside live events, at a known rate. Everything arrives, in
// order in either lane, and what comes again after each kill is what was settled in the last moment before it.
func TestKilledDuringCatchUp(t *testing.T) {
	t.Parallel()
	needMosquitto(t)
	addr, err := rig.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	const backlog, live, kills, perSecond, window = 2000, 50, 4, 500, 100
	g := gateway(t)
	g.Name = "pi"
	g.Delivery = fmt.Sprintf(`forwarders:
  - name: up
    catch_up: live_first
    budget: {backlog_events_per_second: %d}
    retry: {min: 50ms, max: 500ms}
    sink: {type: mqtt, url: "tcp://%s", window: %d}
`, perSecond, addr, window)
	b := start(t, &g)
	publishReadings(t, g.Addr, backlog)
	b.Kill() // until somebody listens at the upstream
	upstream, err := rig.StartMosquitto(t.Context(), t.TempDir(), "upstream", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(upstream.Kill)
	cloud := listen(t, addr, "cloud", "#")
	b = restart(t, &g)

	seen, again := map[string]bool{}, 0
	last := map[string]vocabulary.Offset{}
	late := 0
	take := func() {
		e := cloud.event(t)
		if seen[e.ID] {
			again++
			return
		}
		seen[e.ID] = true
		lane := "live"
		if e.Extensions[vocabulary.ExtBackfill] == "true" {
			lane = "backlog"
			late++
		}
		at := offsetIn(t, e.ID)
		if at < last[lane] {
			t.Errorf("%s: offset %d comes behind %d", lane, at, last[lane])
		}
		last[lane] = at
	}
	for round := range kills {
		publishReadings(t, g.Addr, live)
		for len(seen) < (round+1)*backlog/(kills+1) {
			take()
		}
		b.Kill()
		b = restart(t, &g)
	}
	for len(seen) < backlog+kills*live {
		take()
	}
	if late == 0 {
		t.Error("nothing came by the backlog: the test does not test")
	}
	if most := kills * (2*perSecond + window); again > most {
		t.Errorf("%d came again after %d kills, want %d at most", again, kills, most)
	}
	t.Logf("%d events, %d of them by the backlog; %d came again after %d kills", len(seen), late, again, kills)
	waitFor(t, &g, "the end", func(s *state) bool { return len(s.Forwarders) == 1 && s.Forwarders[0].Waiting == 0 })
}

// offsetIn is the offset in an ID that the log gave.
func offsetIn(t *testing.T, id string) (at vocabulary.Offset) {
	t.Helper()
	for i := len(id) - 1; i >= 0; i-- {
		if id[i] == '-' {
			if _, err := fmt.Sscan(id[i+1:], &at); err != nil {
				t.Fatal(err)
			}
			return at
		}
	}
	t.Fatalf("ID %q has no offset", id)
	return 0
}

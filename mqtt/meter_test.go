package mqtt

import (
	"math/rand/v2"
	"testing"

	"gateway/internal/gatewaytest"
)

// TestMeterNeverLosesAPulse cuts the connection of meters of all habits at random bytes. What was acknowledged is in the log;
// pulses of one that keeps to the standard, one at a time, are there exactly once.
func TestMeterNeverLosesAPulse(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]gatewaytest.Meter{
		"standard":                     {},
		"standard, window 8":           {Window: 8},
		"one packet id":                {OneID: true},
		"new ids, DUP":                 {NewIDs: true},
		"ids restart":                  {RestartIDs: true},
		"ids restart, new, DUP":        {RestartIDs: true, NewIDs: true},
		"ids restart, new, window 8":   {RestartIDs: true, NewIDs: true, Window: 8},
		"ids restart, new, no DUP":     {RestartIDs: true, NewIDs: true, NoDUP: true},
		"ids restart, new, always DUP": {RestartIDs: true, NewIDs: true, AlwaysDUP: true},
		"no DUP":                       {NoDUP: true},
		"always DUP":                   {AlwaysDUP: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := newFakeLog(t)
			b, addr := startBroker(t, Options{}, log)
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			rng := rand.New(rand.NewPCG(seed, 0))
			m.ClientID = "meter"
			const cuts = 200
			for range cuts {
				cut := gatewaytest.RandomCut(rng)
				// What its first connection says about packet ids is not enough for a meter that was cut without an end.
				cut.Reset = cut.Reset && m.Acked >= 3
				if err := m.Connect(addr, 1<<30, cut); err == nil {
					t.Fatal("the connection was not cut")
				}
				if n := len(log.events()); n < m.Acked {
					t.Fatalf("got %d pulses stored, want the %d acknowledged at least", n, m.Acked)
				}
			}
			if err := m.Connect(addr, m.Made, gatewaytest.NoCut); err != nil {
				t.Fatal(err)
			}
			stored, known := len(log.events()), b.Status().Duplicates
			t.Logf("%d pulses, %d cuts: %d stored, %d sent again and known", m.Made, cuts, stored, known)
			if stored < m.Made {
				t.Errorf("got %d pulses stored, want %d at least", stored, m.Made)
			}
			if name == "standard" && (stored != m.Made || known == 0) {
				t.Errorf("got %d pulses stored and %d known again, want exactly %d and some", stored, known, m.Made)
			}
		})
	}
}

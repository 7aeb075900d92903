package test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	vocabulary "gateway"
	"gateway/buffer"
	"gateway/internal/gatewaytest"
	"gateway/test/rig"
)

// TestKilledGatewayCountsPulses kills the gateway again and again under meters whose connections are cut at random bytes
// besides. What was acknowledged is in the log; the pulses of a meter that keeps to the standard are there exactly once.
func TestKilledGatewayCountsPulses(t *testing.T) {
	t.Parallel()
	t.Run("standard", func(t *testing.T) {
		t.Parallel()
		m := &gatewaytest.Meter{ClientID: "standard"}
		if n := countPulses(t, m)["standard"]; n != m.Made || m.Repeated == 0 {
			t.Errorf("got %d pulses stored of %d, %d sent again; want each once, and some sent again", n, m.Made, m.Repeated)
		}
	})
	t.Run("of all kinds", func(t *testing.T) {
		t.Parallel()
		countPulses(t,
			&gatewaytest.Meter{ClientID: "window-8", Window: 8},
			&gatewaytest.Meter{ClientID: "one-id", OneID: true},
			&gatewaytest.Meter{ClientID: "new-ids", NewIDs: true},
			&gatewaytest.Meter{ClientID: "restart", RestartIDs: true, NewIDs: true},
			&gatewaytest.Meter{ClientID: "restart-no-dup", RestartIDs: true, NewIDs: true, NoDUP: true},
			&gatewaytest.Meter{ClientID: "always-dup", RestartIDs: true, NewIDs: true, AlwaysDUP: true},
		)
	})
}

// countPulses lets the meters count while the gateway is killed and started, and returns how many pulses of each are in
// the log in the end. None may have fewer than it made.
func countPulses(t *testing.T, meters ...*gatewaytest.Meter) map[string]int {
	t.Helper()
	const kills = 60
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	g := gateway(t)
	b := start(t, &g)
	counting, stop := context.WithCancel(t.Context())
	defer stop()
	var acked atomic.Int64
	var running sync.WaitGroup
	for i, m := range meters {
		running.Go(func() { count(counting, m, g.Addr, rand.New(rand.NewPCG(seed, uint64(i+1))), &acked) })
	}
	for range kills {
		target := acked.Load() + int64(len(meters)*(5+rng.IntN(20)))
		if !rig.Poll(t.Context(), 20*time.Second, func() bool { return acked.Load() >= target }) {
			t.Fatalf("got %d acknowledgements, want %d: %s", acked.Load(), target, b.Tail())
		}
		b.Kill()
		b = restart(t, &g)
	}
	stop()
	running.Wait()
	for _, m := range meters {
		if err := m.Connect(g.Addr, m.Made, gatewaytest.NoCut); err != nil {
			t.Fatalf("%s: %v", m.ClientID, err)
		}
	}
	b.Kill()
	stored := pulsesIn(t, g.Data())
	for _, m := range meters {
		t.Logf("%s: %d pulses, %d kills: %d stored, %d sent again", m.ClientID, m.Made, kills, stored[m.ClientID], m.Repeated)
		if stored[m.ClientID] < m.Made {
			t.Errorf("%s: got %d pulses stored, want the %d acknowledged at least", m.ClientID, stored[m.ClientID], m.Made)
		}
	}
	return stored
}

// restart starts g as a service manager does: once more if it does not come up.
func restart(t *testing.T, g *rig.Gateway) *rig.Broker {
	t.Helper()
	b, err := g.Start(t.Context())
	if err != nil {
		t.Logf("started once more: %v", err)
		return start(t, g)
	}
	t.Cleanup(b.Kill)
	return b
}

// count lets m make connection after connection.
func count(ctx context.Context, m *gatewaytest.Meter, addr string, rng *rand.Rand, acked *atomic.Int64) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for ctx.Err() == nil {
		before := m.Acked
		cut := gatewaytest.RandomCut(rng)
		cut.Reset = cut.Reset && m.Acked >= 3
		if m.Acked < 3 { // the first kill comes when packet ids tell something
			cut = gatewaytest.NoCut
			_ = m.Connect(addr, 3, cut)
		} else {
			_ = m.Connect(addr, 1<<30, cut) // it ends by the cut, or by the kill
		}
		acked.Add(int64(m.Acked - before))
		if m.Acked == before {
			pause.Reset(2 * time.Millisecond)
			select {
			case <-pause.C:
			case <-ctx.Done():
			}
		}
	}
}

// pulsesIn counts the events in the log of a gateway that does not run, by client.
func pulsesIn(t *testing.T, dir string) map[string]int {
	t.Helper()
	log, err := buffer.Open(buffer.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	r := log.NewReader(0)
	defer r.Close()
	stored := map[string]int{}
	for last := log.Status().Last; last > 0; {
		entries, err := r.Next(t.Context(), 1000)
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		for _, e := range entries {
			stored[e.Event.Source[strings.LastIndexByte(e.Event.Source, '/')+1:]]++
			if e.Event.Type == vocabulary.TypeGap {
				t.Fatalf("there is a gap at offset %d", e.Offset)
			}
		}
		if entries[len(entries)-1].Offset >= last {
			break
		}
	}
	return stored
}

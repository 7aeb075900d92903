package mqttsource

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"gateway"
	"gateway/internal/faultproxy"
	"gateway/internal/gatewaytest"
)

// TestEverythingArrivesOverCutLines cuts the line 60 times in three ways, at random bytes of both directions, while
// messages come. Everything is stored, in order but for what comes again; of CloudEvents nothing is stored twice.
func TestEverythingArrivesOverCutLines(t *testing.T) {
	t.Parallel()
	const cuts, each = 60, 50
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for name, payload := range map[string]func(n int) string{
		"raw":         strconv.Itoa,
		"CloudEvents": func(n int) string { return cloudEvent(strconv.Itoa(n), strconv.Itoa(n)) },
	} {
		ways := make([]int64, cuts)
		for i := range ways {
			ways[i] = 1 + random.Int64N(4*each/2) // 4 is what an acknowledgement has
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := startMosquitto(t, "allow_anonymous true\n")
			proxy, err := faultproxy.New(m.addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { proxy.Close() })
			log, o := gatewaytest.NewLog(), options(proxy.Addr())
			o.ConnectTimeout, o.KeepAlive = 300*time.Millisecond, time.Second
			s, _ := run(t, o, log)
			p := newPublisher(t, m.addr, nil)
			for i := range cuts {
				how, d := []faultproxy.How{faultproxy.Reset, faultproxy.Close}[i%2], faultproxy.Down
				if i%4 > 1 {
					d = faultproxy.Up
				}
				if i%20 == 19 {
					how = faultproxy.Silence
				}
				fired := proxy.CutAfterBytes(d, ways[i], how)
				for n := range each {
					p.publish("t", false, payload(i*each+n))
				}
				select {
				case <-fired:
				case <-time.After(patience):
					t.Fatalf("cut %d was not reached: %+v", i, s.Status())
				}
			}
			p.publish("t", false, payload(cuts*each))
			last := strconv.Itoa(cuts * each)
			until(t, func() string { return fmt.Sprintf("the last message; %+v", s.Status()) }, func() bool {
				list := events(log)
				return len(list) > 0 && string(list[len(list)-1].Data) == last
			})
			again := checkOrder(t, events(log), cuts*each+1)
			t.Logf("%d messages, %d stored again, %+v", cuts*each+1, again, s.Status())
			if name == "CloudEvents" && again > 0 {
				t.Errorf("%d CloudEvents were stored twice", again)
			}
			if s.Status().Reconnects < cuts/2 {
				t.Errorf("got %d reconnects, want one for most of the %d cuts", s.Status().Reconnects, cuts)
			}
		})
	}
}

// checkOrder fails on a gap and on a first arrival out of order, and returns how many came again.
func checkOrder(t *testing.T, list []gateway.Event, total int) (again int) {
	t.Helper()
	newest := -1
	for i, e := range list {
		n, err := strconv.Atoi(string(e.Data))
		switch {
		case err != nil:
			t.Fatalf("event %d: %v", i, err)
		case n > newest+1:
			t.Fatalf("event %d: %d came after %d: lost or out of order", i, n, newest)
		case n <= newest:
			again++
		}
		newest = max(newest, n)
	}
	if newest != total-1 {
		t.Errorf("the newest is %d, want %d", newest, total-1)
	}
	return again
}

package line

import (
	"fmt"
	"math/rand/v2"

	"gateway/internal/faultproxy"
)

// fault is one thing that a bad line does.
type fault struct {
	kind string
	// Of a cut: where, as bytes in a direction, and how; fresh: counted on a new connection, else on the one that there is.
	cut   bool
	fresh bool
	d     faultproxy.Direction
	at    int64
	how   faultproxy.How
	// greeting says that the cut comes before the connection is made as MQTT sees it.
	greeting bool
}

func (f fault) String() string {
	if !f.cut {
		return f.kind
	}
	way := []string{"up", "down"}[f.d]
	where := "this connection"
	if f.fresh {
		where = "a new connection"
	}
	return fmt.Sprintf("%s after %d bytes %s of %s", f.kind, f.at, way, where)
}

// Kinds of faults.
const (
	kindReset     = "reset"
	kindClose     = "close"
	kindSlowClose = "slow close"
	kindSilence   = "silence"
	kindLatency   = "latency"
	kindBandwidth = "bandwidth"
	kindHold      = "hold"
	kindOutage    = "outage"
)

// hows are the ways of a cut by kind.
var hows = map[string]faultproxy.How{
	kindReset: faultproxy.Reset, kindClose: faultproxy.Close, kindSlowClose: faultproxy.SlowClose, kindSilence: faultproxy.Silence,
}

// anyTime are the kinds of which a plan draws where it does not sweep, as often as they stand here.
var anyTime = []string{
	kindReset, kindReset, kindClose, kindSlowClose, kindSilence, kindSilence, kindLatency, kindLatency, kindBandwidth, kindBandwidth, kindHold, kindOutage,
}

// exchange is the sizes of what a connection begins with.
type exchange struct{ connect, publish int }

// Bytes down of an exchange: CONNACK and two PUBACKs.
const answerBytes = 4 + 2*4

// sweep is a cut at every byte of an exchange, both ways: up CONNECT and the first PUBLISH, down CONNACK and two PUBACKs. Every other one
// is a reset, or a close; odd exchanges the two.
func sweep(x exchange, odd int) (faults []fault) {
	for d, n := range []int{x.connect + x.publish, answerBytes} {
		for at := range n + 1 {
			kind := []string{kindReset, kindClose}[(at+odd)%2]
			faults = append(faults, fault{kind: kind, cut: true, fresh: true, d: faultproxy.Direction(d), at: int64(at), how: hows[kind]})
		}
	}
	return faults
}

// greetings are the line falling silent on CONNECT, and on CONNACK.
func greetings(x exchange, rng *rand.Rand) []fault {
	silent := fault{kind: kindSilence, how: faultproxy.Silence, cut: true, fresh: true, greeting: true}
	up, down := silent, silent
	up.d, up.at = faultproxy.Up, rng.Int64N(int64(x.connect)+1)
	down.d, down.at = faultproxy.Down, rng.Int64N(4)
	return []fault{up, down}
}

// anywhere is a fault at a random moment, or the line falling silent on the first publish of a connection or its acknowledgement.
func anywhere(x exchange, rng *rand.Rand) fault {
	f := fault{kind: anyTime[rng.IntN(len(anyTime))]}
	if f.how, f.cut = hows[f.kind]; !f.cut {
		return f
	}
	f.d, f.at = faultproxy.Up, rng.Int64N(8<<10)
	if rng.IntN(2) == 0 {
		f.d, f.at = faultproxy.Down, rng.Int64N(128)
	}
	if f.how != faultproxy.Silence || rng.IntN(2) == 0 {
		return f
	}
	f.fresh, f.at = true, 4+rng.Int64N(answerBytes-4)
	if f.d == faultproxy.Up {
		f.at = int64(x.connect) + 1 + rng.Int64N(int64(x.publish))
	}
	return f
}

// manyFaults is from how many faults on some may take long.
const manyFaults = 500

// newPlan is n faults. Seven of ten are sweeps, twice over if there is room and a part of one if there is not.
func newPlan(x exchange, n int, rng *rand.Rand) []fault {
	swept := append(sweep(x, 0), sweep(x, 1)...)
	half := len(swept) / 2
	rng.Shuffle(half, func(i, j int) { swept[i], swept[j] = swept[j], swept[i] })
	rng.Shuffle(half, func(i, j int) { swept[half+i], swept[half+j] = swept[half+j], swept[half+i] })
	plan := swept[:min(n*7/10, len(swept))]
	if n >= manyFaults {
		plan = append(plan, greetings(x, rng)...)
	}
	for len(plan) < n {
		plan = append(plan, anywhere(x, rng))
	}
	rng.Shuffle(n, func(i, j int) { plan[i], plan[j] = plan[j], plan[i] })
	return plan
}

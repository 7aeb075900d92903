package main

import (
	"strings"
	"testing"

	"gateway/test/powercut/found"
)

// told is a ledger of two boots: client 0 has sequences 0 to 3, of which 2 is not acknowledged; client 1 has 0.
func told() *ledger {
	l := newLedger(2)
	l.booted()
	for range 2 {
		l.send(0)
	}
	l.acknowledged(0, 0, 900)
	l.acknowledged(0, 1, 1000)
	l.booted()
	l.send(0)
	l.send(0)
	l.acknowledged(1, l.send(1), 500)
	l.acknowledged(0, 3, 700)
	return l
}

func TestTheLedgerKnowsWhatIsDue(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what                   string
		clients                map[int]*found.Ranges
		at                     int64
		due, missing, invented uint64
	}{
		{"all is there", map[int]*found.Ranges{0: {{0, 3}}, 1: {{0, 0}}}, always, 4, 0, 0},
		{"what was not acknowledged may be gone", map[int]*found.Ranges{0: {{0, 1}, {3, 3}}, 1: {{0, 0}}}, always, 4, 0, 0},
		{"an acknowledged one is gone", map[int]*found.Ranges{0: {{0, 2}}, 1: {{0, 0}}}, always, 4, 1, 0},
		{"a client is gone", map[int]*found.Ranges{0: {{0, 3}}}, always, 4, 1, 0},
		{"before the acks of this boot", map[int]*found.Ranges{0: {{0, 1}}}, 499, 2, 0, 0},
		{"at the first ack of this boot", map[int]*found.Ranges{0: {{0, 1}}}, 500, 3, 1, 0},
		{"the boot before counts as a whole", map[int]*found.Ranges{0: {{0, 0}}}, 0, 2, 1, 0},
		{"what was never sent", map[int]*found.Ranges{0: {{0, 4}}, 1: {{0, 0}}}, always, 4, 0, 1},
		{"a client that never was", map[int]*found.Ranges{0: {{0, 3}}, 1: {{0, 0}}, 7: {{0, 0}}}, always, 4, 0, 1},
	} {
		j := told().judge(&found.Found{Clients: c.clients}, c.at)
		if j.due != c.due || j.missing != c.missing || j.invented != c.invented {
			t.Errorf("%s: got %d due, %d missing, %d invented, want %d, %d, %d", c.what, j.due, j.missing, j.invented, c.due, c.missing, c.invented)
		}
	}
}

func TestTheVerdict(t *testing.T) {
	t.Parallel()
	for want, spoil := range map[string]func(gateway, careless, careful *tally){
		"":                   func(_, _, _ *tally) {},
		"1 failures":         func(g, _, _ *tally) { g.fail("lost") },
		"must, so the":       func(_, c, _ *tally) { c.fail("lost") },
		"did not do":         func(_, _, c *tally) { c.fail("lost") },
		"nothing is proved":  func(g, _, _ *tally) { g.bare.due = 0 },
		"nothing was":        func(_, _, c *tally) { c.cuts.due = 0 },
		"the rig cannot":     func(_, c, _ *tally) { c.cuts.losing = 0 },
		"does not sync lost": func(_, c, _ *tally) { c.bare.losing = 0 },
	} {
		gateway, careless, careful := newTally(), newTally(), newTally()
		gateway.cuts.due, gateway.bare.due = 10, 10
		careful.cuts.due, careful.bare.due = 10, 10
		careless.cuts.losing, careless.bare.losing = 1, 1
		spoil(&gateway, &careless, &careful)
		err := verdict(&gateway, &careless, &careful)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

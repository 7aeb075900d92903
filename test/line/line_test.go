package line

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateway/internal/faultproxy"
	"gateway/internal/load/wire"
	"gateway/test/rig"
)

var seed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the faults")

// TestDeliveryOverABadLine is the short form of make line.
func TestDeliveryOverABadLine(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes twenty seconds")
	}
	if _, err := rig.FindMosquitto(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir, program := t.TempDir(), os.Getenv("GATEWAY_BINARY")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if program == "" {
		program = filepath.Join(dir, "gateway-under-test")
		if err := rig.Build(ctx, program, "./cmd/gateway"); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d (again with -args -seed %d)", *seed, *seed)
	o, err := Run(ctx, Config{Program: program, Dir: dir, Faults: 80, Legs: 4, Seed: *seed, Out: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + o.Text())
	if !o.OK() {
		t.Error("a promise was broken")
	}
}

// event is what the ledger is told in a test.
type event struct {
	id   string
	lane int
	seq  uint64
}

// TestLedgerCanTell: what it is there to find is found.
func TestLedgerCanTell(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		events []event
		want   Counts
	}{
		"all":                  {[]event{{"a", 0, 0}, {"b", 0, 1}, {"c", 0, 2}}, Counts{Received: 3, Arrived: 3}},
		"a repeat is dropped":  {[]event{{"a", 0, 0}, {"a", 0, 0}, {"b", 0, 1}, {"c", 0, 2}}, Counts{Received: 4, Arrived: 3, Repeated: 1}},
		"a backlog behind":     {[]event{{"c", 0, 2}, {"a", 1, 0}, {"b", 1, 1}}, Counts{Received: 3, Arrived: 3, Backfilled: 2}},
		"one is lost":          {[]event{{"a", 0, 0}, {"c", 0, 2}}, Counts{Received: 2, Arrived: 2, Pending: 1}},
		"out of order":         {[]event{{"b", 0, 1}, {"a", 0, 0}, {"c", 0, 2}}, Counts{Received: 3, Arrived: 3, Disordered: 1}},
		"a disordered backlog": {[]event{{"c", 0, 2}, {"b", 1, 1}, {"a", 1, 0}}, Counts{Received: 3, Arrived: 3, Backfilled: 2, Disordered: 1}},
		"twice":                {[]event{{"a", 0, 0}, {"x", 1, 0}, {"b", 0, 1}, {"c", 0, 2}}, Counts{Received: 4, Arrived: 3, Twice: 1}},
		"a reused ID":          {[]event{{"a", 0, 0}, {"a", 0, 1}, {"b", 0, 1}, {"c", 0, 2}}, Counts{Received: 4, Arrived: 3, Reused: 1}},
		"never sent":           {[]event{{"a", 0, 0}, {"b", 0, 1}, {"c", 0, 2}, {"d", 0, 3}}, Counts{Received: 4, Arrived: 3, Altered: 1}},
	} {
		l := newLedger(1)
		for seq := range uint64(3) {
			l.sent(0)
			l.acknowledged(0, seq)
		}
		for _, e := range c.events {
			l.arrival(e.id, e.lane, place{0, e.seq}, true)
		}
		c.want.Sent, c.want.Acknowledged = 3, 3
		if got, examples := l.final(); got != c.want {
			t.Errorf("%s: got %+v, want %+v; %q", name, got, c.want, examples)
		}
	}
}

// TestSendsCountsWhatIsSentAgain also where packets come in pieces and the last one is cut.
func TestSendsCountsWhatIsSentAgain(t *testing.T) {
	t.Parallel()
	publish := func(seqs ...uint64) (b []byte) {
		b = wire.AppendConnect(nil, wire.Options{ClientID: "c"})
		for _, seq := range seqs {
			b = wire.AppendPublish(b, "t", uint16(seq+1), 1, false, payload(place{0, seq}))
		}
		return b
	}
	s := newSends()
	for conn, b := range [][]byte{publish(0, 1, 2), publish(1, 2, 3), publish(), publish(3, 4)} {
		if conn == 0 {
			b = b[:len(b)-1]
		}
		for i := range b {
			s.observe(int64(conn+1), faultproxy.Up, b[i:i+1])
		}
	}
	got := s.tally()
	want := tally{published: 3, resent: 2, most: 1, connectSize: len(publish()), publishSize: len(publish(0)) - len(publish())}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestPlanSweepsEveryByte: with room for it, each position of an exchange is cut in both ways.
func TestPlanSweepsEveryByte(t *testing.T) {
	t.Parallel()
	x := exchange{connect: 29, publish: 299}
	cuts := map[string]int{}
	plan := newPlan(x, 1000, rand.New(rand.NewPCG(1, 1)))
	for _, f := range plan {
		if f.fresh && f.kind != kindSilence {
			cuts[f.String()]++
		}
	}
	if want := 2 * (x.connect + x.publish + 1 + answerBytes + 1); len(plan) != 1000 || len(cuts) != want {
		t.Errorf("got %d faults and %d cuts of an exchange, want 1000 and %d", len(plan), len(cuts), want)
	}
	if got := newPlan(x, 40, rand.New(rand.NewPCG(1, 1))); len(got) != 40 || fmt.Sprint(got) != fmt.Sprint(newPlan(x, 40, rand.New(rand.NewPCG(1, 1)))) {
		t.Errorf("got %v, want 40 faults that follow from the seed", got)
	}
}

func TestWastefulLegsAreFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		leg  LegOutcome
		want bool
	}{
		{LegOutcome{CatchUp: inOrder, Window: 10, Lost: 3, Resent: 33, MostOnce: 11}, false},
		{LegOutcome{CatchUp: inOrder, Window: 10, Lost: 3, Resent: 34, MostOnce: 10}, true},
		{LegOutcome{CatchUp: inOrder, Window: 10, Lost: 3, Resent: 12, MostOnce: 12}, true},
		{LegOutcome{CatchUp: liveFirst, Window: 10, Lost: 3, Resent: 20, MostOnce: 20}, false},
	} {
		o := Outcome{Legs: []*LegOutcome{&c.leg}}
		c.leg.Acknowledged = 1
		if o.OK() == c.want || !strings.Contains(o.Text(), "sent again") {
			t.Errorf("%+v: got OK %v", c.leg, o.OK())
		}
	}
}

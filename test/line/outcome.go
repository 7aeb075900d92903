package line

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Outcome is what a campaign came to.
type Outcome struct {
	Legs     []*LegOutcome
	exchange exchange
}

func (l *LegOutcome) String() string {
	return fmt.Sprintf("%s, window %d: %d faults, %d connections lost; acknowledged %d, arrived %d (%d by the backlog), sent again %d, at most %d at once (bound %d); faults found %d",
		l.CatchUp, l.Window, l.Faults, l.Lost, l.Acknowledged, l.Arrived, l.Backfilled, l.Resent, l.MostOnce, l.bound(), l.failures())
}

// once is the most that may be sent again for a connection that was lost: the window, and one event that was delivered before, by which the
// forwarder probes whether it is the line that fails or the event.
func (l *LegOutcome) once() int { return l.Window + 1 }

// bound is the most that may be sent again in all.
func (l *LegOutcome) bound() int { return l.once() * l.Lost }

// wasteful says that more was sent again than that. With one lane no single connection may begin with more, either; with two, one may have
// to make up for what each of them lost on another.
func (l *LegOutcome) wasteful() bool {
	return l.Resent > l.bound() || l.CatchUp == inOrder && l.MostOnce > l.once()
}

// failures are the faults of the gateway.
func (l *LegOutcome) failures() uint64 {
	n := l.Counts.Faults()
	if l.wasteful() {
		n++
	}
	return n
}

// total adds up the legs.
func (o *Outcome) total() (t LegOutcome) {
	for _, l := range o.Legs {
		t.Counts.add(&l.Counts)
		t.Faults += l.Faults
		t.Lost += l.Lost
		t.Resent += l.Resent
		t.Noticed, t.Greeted = append(t.Noticed, l.Noticed...), append(t.Greeted, l.Greeted...)
		for _, example := range l.Examples {
			t.Examples = append(t.Examples, fmt.Sprintf("%s, window %d: %s", l.CatchUp, l.Window, example))
		}
	}
	slices.Sort(t.Noticed)
	slices.Sort(t.Greeted)
	return t
}

// OK tells whether the promise held.
func (o *Outcome) OK() bool {
	for _, v := range o.verdicts() {
		if !v.kept {
			return false
		}
	}
	return true
}

type verdict struct {
	what, found string
	kept        bool
}

func (o *Outcome) verdicts() []verdict {
	t := o.total()
	v := []verdict{
		{"everything acknowledged arrives", fmt.Sprintf("%d acknowledged, %d lost", t.Acknowledged, t.Pending), t.Acknowledged > 0 && t.Pending == 0},
		{"in order by source and lane", fmt.Sprintf("%d arrived, %d of them by a backlog, %d out of order", t.Arrived, t.Backfilled, t.Disordered), t.Disordered == 0},
		{"once, repeated IDs dropped", fmt.Sprintf("%d repeats dropped, %d left, %d IDs for two, %d altered", t.Repeated, t.Twice, t.Reused, t.Altered), t.Twice+t.Reused+t.Altered == 0},
	}
	v = append(v, o.sentAgain(&t))
	v = noticed(v, fmt.Sprintf("silence is noticed within %s (ack_timeout %s)", noticeWithin, ackTimeout), t.Noticed, noticeWithin)
	return noticed(v, fmt.Sprintf("silence before CONNACK is noticed within %s", greetingWithin), t.Greeted, greetingWithin)
}

// sentAgain is the verdict on what was sent again.
func (o *Outcome) sentAgain(t *LegOutcome) verdict {
	over, share := 0, 0.0
	for _, l := range o.Legs {
		if l.wasteful() {
			over++
		}
		if l.Lost > 0 {
			share = max(share, float64(l.Resent)/float64(l.Window*l.Lost))
		}
	}
	found := fmt.Sprintf("%d sent again for %d lost connections, at most %.2f of a window each; %d legs above", t.Resent, t.Lost, share, over)
	return verdict{"sent again for each lost connection ≤ the window (and one event as a probe)", found, over == 0}
}

// noticed adds the verdict on the times by which silence was noticed, which are sorted.
func noticed(v []verdict, what string, took []time.Duration, within time.Duration) []verdict {
	n := len(took)
	if n == 0 {
		return v
	}
	slowest := took[n-1]
	found := fmt.Sprintf("%d times, median %s, slowest %s", n, took[n/2].Round(time.Millisecond), slowest.Round(time.Millisecond))
	return append(v, verdict{what, found, slowest <= within})
}

// Text is the outcome for a person.
func (o *Outcome) Text() string {
	var b strings.Builder
	t := o.total()
	fmt.Fprintf(&b, "%d faults; an exchange is CONNECT %d, PUBLISH %d bytes up and %d bytes down\n", t.Faults, o.exchange.connect, o.exchange.publish, answerBytes)
	for _, v := range o.verdicts() {
		word := "kept  "
		if !v.kept {
			word = "BROKEN"
		}
		fmt.Fprintf(&b, "%s  %s: %s\n", word, v.what, v.found)
	}
	for _, example := range t.Examples {
		fmt.Fprintln(&b, "  e.g.", example)
	}
	return b.String()
}

package demo

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Ledger compares what the sensors were told is safe with what came out at the upstream.
type Ledger struct {
	Accounts []Account `json:"sensors"`
	// Strays counts events at the upstream that no sensor sent, that could not be read, or whose ID another had.
	Strays int `json:"strays"`
	// Waiting counts events that were still in the log at the end, because the drain was cut short.
	Waiting uint64 `json:"waiting"`
	// Seed repeats the run: the readings and what happened to the line.
	Seed uint64 `json:"seed"`
	// Lasted is how long the sensors published.
	Lasted time.Duration `json:"lasted_ns"`
	// Cuts counts what happened to the line, by its kind.
	Cuts map[string]int `json:"cuts"`
}

// Account is what became of one sensor's readings.
type Account struct {
	Sensor string `json:"sensor"`
	// Sent counts readings, Acknowledged those of them that the gateway acknowledged, Received those that came out at the
	// upstream, however often.
	Sent         int `json:"sent"`
	Acknowledged int `json:"acknowledged"`
	Received     int `json:"received"`
	// SentAgain counts what came once more with the same ID: the forwarder's second attempts, which a receiver drops.
	SentAgain int `json:"sent_again"`
	// Resent counts what came once more with another ID because the sensor itself had sent it again, its ack being lost.
	Resent int `json:"resent_by_sensor"`
	// Duplicates counts what came once more with another ID and without such an excuse.
	Duplicates int `json:"duplicates"`
	// OutOfOrder counts readings that came, for the first time, after a later one of the same sensor.
	OutOfOrder int `json:"out_of_order"`
	// Lost counts what was acknowledged and did not come.
	Lost int `json:"lost"`
}

// MarshalJSON adds to the fields what follows from them: total, ok and verdict.
func (l Ledger) MarshalJSON() ([]byte, error) {
	type fields Ledger
	return json.Marshal(struct {
		fields
		Total   Account `json:"total"`
		OK      bool    `json:"ok"`
		Verdict string  `json:"verdict"`
	}{fields(l), l.Total(), l.OK(), l.Verdict()})
}

func (a *Account) add(b Account) {
	a.Sent += b.Sent
	a.Acknowledged += b.Acknowledged
	a.Received += b.Received
	a.SentAgain += b.SentAgain
	a.Resent += b.Resent
	a.Duplicates += b.Duplicates
	a.OutOfOrder += b.OutOfOrder
	a.Lost += b.Lost
}

// Total adds the accounts up.
func (l Ledger) Total() Account {
	total := Account{Sensor: "all"}
	for _, a := range l.Accounts {
		total.add(a)
	}
	return total
}

// OK says whether the promise was kept: something was acknowledged, nothing of it is lost, nothing came out of order,
// no duplicate is left, and nothing came that nobody sent.
func (l Ledger) OK() bool { return len(l.faults()) == 0 }

// faults are the reasons why the ledger is not OK, in words.
func (l Ledger) faults() []string {
	t := l.Total()
	var faults []string
	gone := "lost"
	if l.Waiting > 0 {
		gone = "not arrived"
	}
	if t.Acknowledged == 0 {
		faults = append(faults, "nothing was acknowledged, so nothing was proved")
	}
	for _, f := range []struct {
		n    int
		what string
	}{
		{t.Lost, gone}, {t.OutOfOrder, "out of order"}, {t.Duplicates, "duplicates left"}, {l.Strays, "from nowhere"},
	} {
		if f.n > 0 {
			faults = append(faults, number(f.n)+" "+f.what)
		}
	}
	if l.Waiting > 0 {
		faults = append(faults, number(l.Waiting)+" still waiting in the log when the drain ended (kept, but not delivered)")
	}
	return faults
}

// Verdict is the ledger in a sentence.
func (l Ledger) Verdict() string {
	t := l.Total()
	if faults := l.faults(); len(faults) > 0 {
		return fmt.Sprintf("NOT OK: %s, of %s acknowledged (seed %d).", strings.Join(faults, ", "), number(t.Acknowledged), l.Seed)
	}
	return fmt.Sprintf("OK: all %s acknowledged readings arrived, in order and once each, over %s (seed %d).", number(t.Acknowledged), l.cuts(), l.Seed)
}

func (l Ledger) cuts() string {
	total := 0
	var parts []string
	for _, t := range troubles {
		if n := l.Cuts[t]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, t))
			total += n
		}
	}
	switch total {
	case 0:
		return "a line that held"
	case 1:
		return "a line that failed once (" + parts[0] + ")"
	}
	return fmt.Sprintf("a line that failed %d times (%s)", total, strings.Join(parts, ", "))
}

// row has a width of 79 columns.
const row = "%7s  %12s  %9s  %10s  %10s  %12s  %7s\n"

// String is a table with a row for each sensor, and the verdict.
func (l Ledger) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, row, "sensor", "acknowledged", "received", "sent again", "duplicates", "out of order", "lost")
	for _, a := range append(slices.Clone(l.Accounts), l.Total()) {
		fmt.Fprintf(&b, row, a.Sensor, number(a.Acknowledged), number(a.Received), number(a.SentAgain), number(a.Duplicates), number(a.OutOfOrder), number(a.Lost))
	}
	fmt.Fprintf(&b, "\nsent again: by the gateway after a cut, with the same ID, so that a receiver can drop it.\n")
	t := l.Total()
	if t.Resent > 0 {
		fmt.Fprintf(&b, "Besides, %s came twice because a sensor itself had sent it again, its acknowledgement being lost.\n", number(t.Resent))
	}
	if t.Sent > t.Acknowledged {
		fmt.Fprintf(&b, "%s readings were never acknowledged; a real sensor would send them again.\n", number(t.Sent-t.Acknowledged))
	}
	fmt.Fprintf(&b, "\n%s\n", l.Verdict())
	return b.String()
}

// number writes n with a comma at the thousands.
func number[T int | uint64](n T) string {
	s := strconv.FormatUint(uint64(n), 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

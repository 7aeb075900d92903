package demo

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// play makes a book of one sensor, "a", that sent and got acknowledged the readings 1 to n, and lets arrive what
// arrivals say: "seq:id" each, with "a/" in front unless a sensor is named.
func play(t *testing.T, n int, arrivals string) Ledger {
	t.Helper()
	b := newBook([]string{"a", "b"})
	for range n {
		seq := b.next(0)
		b.sending(0, seq)
		b.acknowledged(0, seq)
	}
	for arrived := range strings.FieldsSeq(arrivals) {
		name, rest, named := strings.Cut(arrived, "/")
		if !named {
			name, rest = "a", arrived
		}
		var seq int
		var id string
		if _, err := fmt.Sscanf(strings.Replace(rest, ":", " ", 1), "%d %s", &seq, &id); err != nil {
			id = ""
		}
		b.received(name, seq, id)
	}
	return b.ledger()
}

func TestLedgerFindsEachKindOfFault(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		arrivals string
		want     Account
		strays   int
		ok       bool
		verdict  string
	}{
		"all is well":                {"1:x 2:y 3:z", Account{Received: 3}, 0, true, "OK: all 3 acknowledged readings arrived"},
		"sent again, same IDs":       {"1:x 2:y 1:x 2:y 3:z 3:z", Account{Received: 3, SentAgain: 3}, 0, true, "OK: "},
		"the first lost":             {"2:y 3:z", Account{Received: 2, Lost: 1}, 0, false, "NOT OK: 1 lost, of 3"},
		"the last lost":              {"1:x 2:y", Account{Received: 2, Lost: 1}, 0, false, "1 lost"},
		"one in the middle lost":     {"1:x 3:z", Account{Received: 2, Lost: 1}, 0, false, "1 lost"},
		"all lost":                   {"", Account{Lost: 3}, 0, false, "3 lost"},
		"two swapped":                {"1:x 3:z 2:y", Account{Received: 3, OutOfOrder: 1}, 0, false, "1 out of order"},
		"all reversed":               {"3:z 2:y 1:x", Account{Received: 3, OutOfOrder: 2}, 0, false, "2 out of order"},
		"old ones between, same IDs": {"1:x 2:y 3:z 1:x", Account{Received: 3, SentAgain: 1}, 0, true, "OK: "},
		"a duplicate with a new ID":  {"1:x 2:y 2:w 3:z", Account{Received: 3, Duplicates: 1}, 0, false, "1 duplicates left"},
		"its repetition":             {"1:x 2:y 2:w 2:w 3:z", Account{Received: 3, Duplicates: 1, SentAgain: 1}, 0, false, "1 duplicates left"},
		"one ID for two readings":    {"1:x 2:x 3:z", Account{Received: 2, Lost: 1}, 1, false, "1 lost, 1 from nowhere"},
		"one ID for two sensors":     {"1:x 2:y 3:z b/1:x", Account{Received: 3}, 1, false, "1 from nowhere"},
		"never sent":                 {"1:x 2:y 3:z 4:w", Account{Received: 3}, 1, false, "1 from nowhere"},
		"below the first":            {"0:v 1:x 2:y 3:z", Account{Received: 3}, 1, false, "1 from nowhere"},
		"an unknown sensor":          {"1:x 2:y 3:z c/1:w", Account{Received: 3}, 1, false, "1 from nowhere"},
		"no ID":                      {"1:x 2:y 3:", Account{Received: 2, Lost: 1}, 1, false, "1 lost, 1 from nowhere"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := play(t, 3, tt.arrivals)
			tt.want.Sensor, tt.want.Sent, tt.want.Acknowledged = "all", 3, 3
			if got := l.Total(); got != tt.want || l.Strays != tt.strays {
				t.Errorf("got %+v and %d strays, want %+v and %d", got, l.Strays, tt.want, tt.strays)
			}
			if l.OK() != tt.ok || !strings.Contains(l.Verdict(), tt.verdict) {
				t.Errorf("got OK %v, %q, want %v, %q", l.OK(), l.Verdict(), tt.ok, tt.verdict)
			}
		})
	}
}

func TestLedgerExcusesWhatTheSensorItselfSentAgain(t *testing.T) {
	t.Parallel()
	b := newBook([]string{"a"})
	first, second := b.next(0), b.next(0)
	b.sending(0, first)
	b.sending(0, second)
	b.received("a", first, "x") // stored, but the connection broke before its ack
	b.sending(0, first)
	b.sending(0, second)
	b.acknowledged(0, first)
	b.acknowledged(0, second)
	b.received("a", first, "y")
	b.received("a", second, "z")
	if l, a := b.ledger(), b.ledger().Total(); a.Resent != 1 || a.Received != 2 || !l.OK() {
		t.Errorf("got %+v, OK %v, want 1 resent, 2 received, OK", a, l.OK())
	}
	if text := b.ledger().String(); !strings.Contains(text, "Besides, 1 came twice") {
		t.Errorf("the table does not tell of it:\n%s", text)
	}
	b.received("a", first, "w") // a third time, though the sensor sent it twice
	if l, a := b.ledger(), b.ledger().Total(); a.Duplicates != 1 || l.OK() {
		t.Errorf("got %+v, OK %v, want 1 duplicate, not OK", a, l.OK())
	}
}

func TestLedgerDoesNotMissWhatWasNeverAcknowledged(t *testing.T) {
	t.Parallel()
	b := newBook([]string{"a"})
	one, two, three := b.next(0), b.next(0), b.next(0)
	for _, seq := range []int{one, two, three} {
		b.sending(0, seq)
	}
	b.acknowledged(0, one)
	b.acknowledged(0, one) // twice is once
	b.received("a", one, "x")
	b.received("a", two, "y") // arrived before its ack, which never came
	if l, a := b.ledger(), b.ledger().Total(); a.Acknowledged != 1 || a.Received != 2 || a.Lost != 0 || !l.OK() {
		t.Errorf("got %+v, OK %v, want 1 acknowledged, 2 received, none lost, OK", a, l.OK())
	}
	if text := b.ledger().String(); !strings.Contains(text, "2 readings were never acknowledged") {
		t.Errorf("the ledger does not say that 2 readings were never acknowledged:\n%s", text)
	}
	b.acknowledged(0, two)
	b.acknowledged(0, three)
	if got := b.missing(); got != 1 {
		t.Errorf("got %d missing, want 1", got)
	}
}

func TestLedgerOfNothingProvesNothing(t *testing.T) {
	t.Parallel()
	if l := play(t, 0, ""); l.OK() || !strings.Contains(l.Verdict(), "nothing was acknowledged") {
		t.Errorf("got OK %v, %q for a run without readings", l.OK(), l.Verdict())
	}
	l := play(t, 3, "1:x 2:y 3:z")
	l.Waiting = 1
	if l.OK() || !strings.Contains(l.Verdict(), "1 still waiting in the log") {
		t.Errorf("got OK %v, %q for a drain that was not over", l.OK(), l.Verdict())
	}
}

func TestLedgerAsATable(t *testing.T) {
	t.Parallel()
	l := play(t, 1234, "1:x 1:x 2:y")
	l.Seed, l.Cuts = 7, map[string]int{lineCut: 2, lineSilent: 1}
	lines := strings.Split(l.String(), "\n")
	for i, want := range []string{
		"sensor acknowledged received sent again duplicates out of order lost",
		"a 1,234 2 1 0 0 1,232",
		"b 0 0 0 0 0 0",
		"all 1,234 2 1 0 0 1,232",
	} {
		if got := strings.Join(strings.Fields(lines[i]), " "); got != want {
			t.Errorf("line %d: got %q, want %q", i+1, got, want)
		}
		if len(lines[i]) != len(lines[0]) || len(lines[i]) >= 80 {
			t.Errorf("line %d has %d columns, the first %d: want the same, below 80", i+1, len(lines[i]), len(lines[0]))
		}
	}
	if want := "NOT OK: 1,232 lost, of 1,234 acknowledged (seed 7)."; lines[len(lines)-2] != want {
		t.Errorf("got the verdict %q, want %q", lines[len(lines)-2], want)
	}
	for cuts, want := range map[string]map[string]int{
		"over a line that held":                             nil,
		"over a line that failed once (1 reset)":            {lineReset: 1},
		"over a line that failed 3 times (2 cut, 1 silent)": {lineCut: 2, lineSilent: 1},
	} {
		l := play(t, 1, "1:x")
		if l.Cuts = want; !strings.Contains(l.Verdict(), cuts) {
			t.Errorf("got %q, want %q in it", l.Verdict(), cuts)
		}
	}
}

func TestLedgerAsJSON(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(play(t, 2, "1:x 1:x"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"sensor":"a","sent":2,"acknowledged":2,"received":1,"sent_again":1,"resent_by_sensor":0,"duplicates":0,"out_of_order":0,"lost":1}`,
		`"total":{"sensor":"all","sent":2,`, `"ok":false`, `"verdict":"NOT OK: 1 lost, of 2 acknowledged (seed 0)."`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("got %s, want %s in it", text, want)
		}
	}
}

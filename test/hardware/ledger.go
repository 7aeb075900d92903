package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// arrival is a structured CloudEvent as it came.
type arrival struct {
	ID, Source, Type, Subject string
	Time                      time.Time
	Data                      json.RawMessage
}

// readings are the numbers in an event's data, by name; those of an object within are called "outer.inner".
func (a *arrival) readings() map[string]float64 {
	var fields map[string]any
	if json.Unmarshal(a.Data, &fields) != nil {
		return nil
	}
	numbers := map[string]float64{}
	flatten(numbers, "", fields)
	return numbers
}

func flatten(numbers map[string]float64, prefix string, fields map[string]any) {
	for name, value := range fields {
		switch v := value.(type) {
		case float64:
			numbers[prefix+name] = v
		case bool:
			numbers[prefix+name] = 0
			if v {
				numbers[prefix+name] = 1
			}
		case map[string]any:
			flatten(numbers, prefix+name+".", v)
		}
	}
}

// ledger is what arrived upstream. Its methods may be called from any goroutine.
type ledger struct {
	mu     sync.Mutex // guards what follows
	events []arrival  // each once, in the order in which they came first
	times  map[string]int
	err    error
}

func newLedger() *ledger { return &ledger{times: map[string]int{}} }

// arrived enters an event. One that came before, by its source and id, is counted only.
func (l *ledger) arrived(text []byte) error {
	var a arrival
	if err := json.Unmarshal(text, &a); err != nil {
		return fmt.Errorf("the upstream received %.200q: %w", text, err)
	}
	if a.ID == "" || a.Source == "" || a.Type == "" {
		return fmt.Errorf("the upstream received %.200q, which is no CloudEvent", text)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	key := a.Source + " " + a.ID
	if l.times[key]++; l.times[key] == 1 {
		l.events = append(l.events, a)
	}
	return nil
}

// ended says that nothing more comes.
func (l *ledger) ended(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// of are the events of a type ("device.input") and a subject ("devices/door"), in their order; "" is any.
func (l *ledger) of(kind, subject string) []arrival {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []arrival
	for _, a := range l.events {
		if (kind == "" || a.Type == kind) && (subject == "" || a.Subject == subject) {
			found = append(found, a)
		}
	}
	return found
}

// repeated is how many events came more than once, as after a crash they may.
func (l *ledger) repeated() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, times := range l.times {
		if times > 1 {
			n++
		}
	}
	return n
}

// broken is why the record is not to be relied on, nil if it is.
func (l *ledger) broken() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// types tells how many events of which type came: for a message.
func (l *ledger) types() string {
	counts := map[string]int{}
	for _, a := range l.of("", "") {
		counts[a.Type+" "+a.Subject]++
	}
	var words []string
	for name, n := range counts {
		words = append(words, fmt.Sprintf("%d %s", n, name))
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

var errLedger = errors.New("the ledger")

// edgeTally is what became of the edges of an input.
type edgeTally struct {
	received int // events of edges
	overrun  int // edges that were reported as lost
	first    uint64
	last     uint64 // sequences of the kernel's
}

// tallyEdges checks that the sequences of an input's events rise by one, but for holes that are reported as overrun, and that no two have one. The level at
// the start is an event without a sequence. The kernel counts anew with each process that opens the line: processes are told apart by a sequence that falls.
func tallyEdges(events []arrival) (edgeTally, error) {
	var t edgeTally
	var holes, hole uint64
	for _, a := range events {
		var d struct {
			Edge     string
			Sequence uint64
			Lost     uint64
		}
		if err := json.Unmarshal(a.Data, &d); err != nil {
			return t, fmt.Errorf("%w: %s has the data %.100q: %w", errLedger, a.ID, a.Data, err)
		}
		switch {
		case a.Type == "device.overrun":
			t.overrun += int(d.Lost)
			continue
		case a.Type != "device.input" || d.Sequence == 0:
			continue
		}
		if t.first == 0 {
			t.first = d.Sequence
			hole = d.Sequence - 1
		} else {
			if d.Sequence <= t.last {
				return t, fmt.Errorf("%w: edge %d came behind edge %d", errLedger, d.Sequence, t.last)
			}
			hole = d.Sequence - t.last - 1
		}
		holes += hole
		t.last = d.Sequence
		t.received++
	}
	if holes != uint64(t.overrun) {
		return t, fmt.Errorf("%w: %d edges are missing by the kernel's sequence, %d were reported as lost", errLedger, holes, t.overrun)
	}
	return t, nil
}

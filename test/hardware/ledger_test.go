package main

import (
	"errors"
	"fmt"
	"testing"
)

// enter enters events of a type with such data.
func enter(t *testing.T, l *ledger, kind string, data ...string) {
	t.Helper()
	for _, d := range data {
		text := fmt.Sprintf(`{"specversion":"1.0","id":"%s %x","source":"//gw/devices/door","type":%q,"subject":"devices/door","data":%s}`, kind, d, kind, d)
		if err := l.arrived([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLedgerCountsRepetitionsOnce(t *testing.T) {
	t.Parallel()
	l := newLedger()
	for range 3 {
		enter(t, l, "device.input", `{"sequence":1}`)
	}
	if got := len(l.of("device.input", "devices/door")); got != 1 || l.repeated() != 1 {
		t.Errorf("got %d events, %d of them repeated; want one, repeated", got, l.repeated())
	}
	if err := l.arrived([]byte(`{"hello":1}`)); err == nil {
		t.Error("what is no event was taken")
	}
}

func TestEdgesAddUp(t *testing.T) {
	t.Parallel()
	l := newLedger()
	enter(t, l, "device.input", `{"state":"on"}`, `{"sequence":1}`, `{"sequence":2}`)
	enter(t, l, "device.overrun", `{"lost":3}`)
	enter(t, l, "device.input", `{"sequence":6}`)
	got, err := tallyEdges(l.of("", ""))
	if want := (edgeTally{received: 3, overrun: 3, first: 1, last: 6}); err != nil || got != want {
		t.Errorf("got %+v and %v, want %+v", got, err, want)
	}
}

func TestEdgesThatDoNotAddUp(t *testing.T) {
	t.Parallel()
	for name, play := range map[string]func(*testing.T, *ledger){
		"a hole that nobody reported":  func(t *testing.T, l *ledger) { enter(t, l, "device.input", `{"sequence":1}`, `{"sequence":3}`) },
		"a first edge that is missing": func(t *testing.T, l *ledger) { enter(t, l, "device.input", `{"sequence":2}`) },
		"an edge twice": func(t *testing.T, l *ledger) {
			enter(t, l, "device.input", `{"sequence":1}`, `{"sequence":1,"edge":"again"}`)
		},
		"edges out of order": func(t *testing.T, l *ledger) { enter(t, l, "device.input", `{"sequence":2}`, `{"sequence":1}`) },
		"an overrun that was none": func(t *testing.T, l *ledger) {
			enter(t, l, "device.input", `{"sequence":1}`)
			enter(t, l, "device.overrun", `{"lost":3}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLedger()
			play(t, l)
			if got, err := tallyEdges(l.of("", "")); !errors.Is(err, errLedger) {
				t.Errorf("got %+v and %v, want an error of the ledger's", got, err)
			}
		})
	}
}

func TestReadingsAreFlat(t *testing.T) {
	t.Parallel()
	l := newLedger()
	enter(t, l, "device.reading", `{"temperature":{"value":25.08,"unit":"Cel"},"n":3}`)
	got := l.of("", "")[0].readings()
	if got["temperature.value"] != 25.08 || got["n"] != 3 || len(got) != 2 {
		t.Errorf("got %v, want temperature.value 25.08 and n 3", got)
	}
}

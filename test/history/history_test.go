package history

import (
	"fmt"
	"testing"
)

// good is a faultless history of two clients: ten events each, acknowledged, and arrived in order.
func good() *History {
	h := New(2)
	for n := range 2 {
		for seq := range uint64(10) {
			h.Sent(n, seq)
			h.Acknowledged(n, seq)
			h.Arrived(fmt.Sprintf("%d-%d", n, seq), n, seq, true)
		}
	}
	return h
}

func TestFaultsAreFlagged(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*History)
		want   Report // of the faults and what is counted apart
	}{
		"nothing": {func(*History) {}, Report{}},
		"loss": {func(h *History) {
			h.Sent(0, 10)
			h.Acknowledged(0, 10)
		}, Report{Pending: 1}},
		"not acknowledged and not arrived": {func(h *History) { h.Sent(0, 10) }, Report{}},
		"arrived before its acknowledgement": {func(h *History) {
			h.Sent(0, 10)
			h.Arrived("a", 0, 10, true)
			h.Acknowledged(0, 10)
		}, Report{}},
		"reorder": {func(h *History) {
			h.Sent(0, 10)
			h.Sent(0, 11)
			h.Arrived("b", 0, 11, true)
			h.Arrived("a", 0, 10, true)
		}, Report{Disordered: 1}},
		"delivered again under its ID": {func(h *History) { h.Arrived("0-3", 0, 3, true) }, Report{Repeated: 1}},
		"duplicate under another ID":   {func(h *History) { h.Arrived("x", 0, 3, true) }, Report{Duplicates: 1}},
		"stored twice as the client sent it twice": {func(h *History) {
			h.Resent(0, 3)
			h.Arrived("x", 0, 3, true)
		}, Report{StoredTwice: 1, Resent: 1}},
		"stored three times as the client sent it twice": {func(h *History) {
			h.Resent(0, 3)
			h.Arrived("x", 0, 3, true)
			h.Arrived("y", 0, 3, true)
		}, Report{StoredTwice: 1, Resent: 1, Duplicates: 1}},
		"ID of another event": {func(h *History) {
			h.Sent(0, 10)
			h.Arrived("0-3", 0, 10, true)
		}, Report{Repeated: 1, IDsReused: 1}},
		"altered":            {func(h *History) { h.Arrived("0-3", 0, 3, false) }, Report{Repeated: 1, Altered: 1}},
		"never sent":         {func(h *History) { h.Arrived("z", 1, 10, true) }, Report{Unsent: 1}},
		"of unknown client":  {func(h *History) { h.Arrived("z", 2, 0, true) }, Report{Unsent: 1}},
		"lost and ID reused": {func(h *History) { h.Sent(1, 10); h.Acknowledged(1, 10); h.Arrived("1-9", 1, 10, true) }, Report{Repeated: 1, IDsReused: 1, Pending: 1}},
	} {
		h := good()
		c.change(h)
		got := h.Final()
		faults := c.want.Faults()
		if got.Faults() != faults || got.Pending != c.want.Pending || got.Disordered != c.want.Disordered ||
			got.Duplicates != c.want.Duplicates || got.IDsReused != c.want.IDsReused || got.Altered != c.want.Altered ||
			got.Unsent != c.want.Unsent || got.Repeated != c.want.Repeated || got.StoredTwice != c.want.StoredTwice || got.Resent != c.want.Resent {
			t.Errorf("%s: got %+v, want the faults of %+v", name, got, c.want)
		}
		if uint64(len(got.Examples)) != faults {
			t.Errorf("%s: got examples %q for %d faults", name, got.Examples, faults)
		}
	}
}

func TestReportCounts(t *testing.T) {
	t.Parallel()
	got := good().Final()
	if got.Sent != 20 || got.Acknowledged != 20 || got.Received != 20 || got.Arrived != 20 || got.Faults() != 0 {
		t.Errorf("got %+v, want 20 of each and no fault", got)
	}
}

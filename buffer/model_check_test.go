package buffer

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"slices"
	"time"

	"pgregory.net/rapid"

	"gateway"
)

// modelSeen is what was seen at the last look, and what happened since.
type modelSeen struct {
	first    gateway.Offset
	gaps     []gateway.Gap
	openedAt gateway.Offset // first, then
	lost     map[string]uint64
	appended uint64 // since it was opened, as is payload
	payload  uint64
	places   map[string][]gateway.Offset // of each cursor, since the last look; MaxUint64: there was none
}

// opened begins the counters anew.
func (s *modelSeen) opened(w *modelled) {
	if s.places == nil {
		s.places = map[string][]gateway.Offset{}
		for _, name := range modelCursors {
			s.places[name] = []gateway.Offset{math.MaxUint64}
		}
		s.first = 1
	}
	s.openedAt, s.lost, s.appended, s.payload = gateway.Offset(w.l.first.Load()), map[string]uint64{}, 0, 0
}

func (s *modelSeen) moved(name string, at gateway.Offset) {
	s.places[name] = append(s.places[name], at)
}

// looked keeps of the places only those that the cursors may have now.
func (s *modelSeen) looked(w *modelled) {
	for _, name := range modelCursors {
		at, ok := w.m.cursors[name]
		if !ok {
			at = math.MaxUint64
		}
		s.places[name] = []gateway.Offset{at}
		s.places[name] = append(s.places[name], w.lazy[name]...)
	}
}

// passed is between what offsets the one was, since the last look, that every cursor had passed.
func (s *modelSeen) passed() (least, most gateway.Offset) {
	least, most = math.MaxUint64, math.MaxUint64
	for _, places := range s.places {
		least, most = min(least, slices.Min(places)), min(most, slices.Max(places))
	}
	return least, most
}

// check compares all that can be seen. What the log trims by itself meanwhile makes it look again.
func (w *modelled) check(t *rapid.T) {
	for range 100 {
		before := w.l.Status()
		if !w.checkRead(t, before) {
			continue
		}
		w.checkCounts(t, before)
		w.checkLost(t, before)
		w.checkState(t, before)
		w.checkRecent(t)
		w.count(before)
		w.seen.looked(w)
		w.seen.first, w.seen.gaps = before.First, slices.Clone(before.Gaps)
		return
	}
	t.Fatal("the log never rests")
}

// count counts what the log did by itself.
func (w *modelled) count(s gateway.LogStatus) {
	w.tally["looks"]++
	if s.First > w.seen.first {
		w.tally["trims"]++
	}
	for _, g := range s.Gaps {
		w.tally["gap "+g.Reason]++
	}
}

func (w *modelled) checkCounts(t *rapid.T, s gateway.LogStatus) {
	if s.Last != w.m.last() || s.Appended != w.seen.appended || s.PayloadBytes != w.seen.payload || s.Failed != "" || s.Full && !w.small {
		t.Fatalf("got status %+v, want last %d, %d appended with %d bytes", s, w.m.last(), w.seen.appended, w.seen.payload)
	}
	gone := s.Trimmed
	for _, n := range s.Lost {
		gone += n
	}
	if gone != uint64(s.First-w.seen.openedAt) {
		t.Fatalf("got %d trimmed and %v lost since the first was %d, now it is %d", s.Trimmed, s.Lost, w.seen.openedAt, s.First)
	}
}

// checkLost wants a gap and a count for what somebody was owed, and none for what nobody was.
func (w *modelled) checkLost(t *rapid.T, s gateway.LogStatus) {
	least, most := w.seen.passed()
	is, was := gaps{list: s.Gaps}, gaps{list: w.seen.gaps}
	lost := maps.Clone(w.seen.lost)
	for at := w.seen.first; at < s.First; at++ {
		g, _, ok := is.at(at)
		if _, _, before := was.at(at); ok && !before {
			lost[g.Reason]++
		}
		if ok && at <= least || !ok && at > most {
			t.Fatalf("offset %d is gone, in a gap: %t; between %d and %d every cursor was past it", at, ok, least, most)
		}
		if ok && !w.mayLose(g.Reason, &w.m.entries[at-1]) {
			t.Fatalf("offset %d of %s is lost at %s: %s", at, w.m.entries[at-1].Received, w.time0(), g.Reason)
		}
	}
	for _, g := range w.seen.gaps { // they stay until everybody is past them
		for at := max(g.From, least+1); at <= g.To && at > most; at++ {
			if now, _, ok := is.at(at); !ok || now.Reason != g.Reason {
				t.Fatalf("the gap of %d is gone: %v", at, s.Gaps)
			}
		}
	}
	if least == most && !maps.Equal(s.Lost, lost) && len(s.Lost)+len(lost) > 0 {
		t.Fatalf("got %v lost, want %v", s.Lost, lost)
	}
	w.seen.lost = maps.Clone(s.Lost)
	if w.seen.lost == nil {
		w.seen.lost = map[string]uint64{}
	}
}

func (w *modelled) mayLose(reason string, e *gateway.Entry) bool {
	switch reason {
	case gateway.LostFull:
		return w.o.DropOldest
	case gateway.LostAge:
		return w.o.MaxAge > 0 && w.time0().Sub(e.Received) > w.o.MaxAge
	}
	return false
}

func (w *modelled) checkState(t *rapid.T, s gateway.LogStatus) {
	for _, name := range modelCursors {
		at, durable := s.Cursors[name]
		want, ok := w.m.cursors[name]
		if pending, known := w.l.Cursor(name); known != ok || pending != want {
			t.Fatalf("got cursor %s at %d, %t, want %d, %t", name, pending, known, want, ok)
		}
		if !durable {
			at = math.MaxUint64
		}
		if durable == ok && (!ok || at == want) || slices.Contains(w.lazy[name], at) {
			continue
		}
		t.Fatalf("got cursors %v, want %v", s.Cursors, w.m.cursors)
	}
	keys := map[string]string{}
	if err := w.l.Scan("", func(key string, value []byte) error { keys[key] = string(value); return nil }); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(keys, w.m.keys) {
		t.Fatalf("got keys %q, want %q", keys, w.m.keys)
	}
	for _, key := range []string{"x", "y", "y/z"} {
		value, err := w.l.Get(key)
		if want, ok := w.m.keys[key]; ok != (err == nil) || !ok && !errors.Is(err, ErrNotFound) || string(value) != want {
			t.Fatalf("key %s: got %q, %v, want %q, %t", key, value, err, want, ok)
		}
	}
}

// checkRead reads from the beginning and from some place. It returns false if the log changed meanwhile.
func (w *modelled) checkRead(t *rapid.T, s gateway.LogStatus) bool {
	whole := uint64(0)
	if len(w.m.entries) > 0 {
		whole = uint64(w.now.Load()+int64(len(w.m.keys))*7) % uint64(len(w.m.entries)) // a place, without a draw for every look
	}
	for _, after := range []gateway.Offset{0, gateway.Offset(whole)} {
		fault := w.read(t, s, after, 1+int(whole)%700)
		if now := w.l.Status(); now.First != s.First || !slices.Equal(now.Gaps, s.Gaps) {
			return false
		}
		if fault != "" {
			t.Fatalf("reading after %d of %d to %d with gaps %v: %s", after, s.First, s.Last, s.Gaps, fault)
		}
	}
	return true
}

// read compares what comes after an offset with what must come: events as they were, and gaps.
func (w *modelled) read(t *rapid.T, s gateway.LogStatus, after gateway.Offset, most int) (fault string) {
	want := modelEntries(w.m, s, after)
	r := w.l.NewReader(after)
	defer r.Close()
	for len(want) > 0 {
		got, err := r.Next(w.context(t), most)
		if err != nil {
			return err.Error()
		}
		if len(got) > len(want) {
			return "there is too much"
		}
		for i := range got {
			if fault := differs(&got[i], &want[i]); fault != "" {
				return fault
			}
		}
		want = want[len(got):]
	}
	return ""
}

// modelEntries are the entries that a reader must get after an offset. Of a gap there is the offset, and its reason and beginning.
func modelEntries(m *model, s gateway.LogStatus, after gateway.Offset) (want []gateway.Entry) {
	list := gaps{list: s.Gaps}
	for next := after + 1; next <= s.Last; next++ {
		if g, _, ok := list.at(next); ok {
			data, _ := json.Marshal(gateway.Gap{From: next, To: g.To, Reason: g.Reason}) // it has no times
			want = append(want, gateway.Entry{Offset: g.To, Event: gateway.Event{Type: gateway.TypeGap, Data: data}})
			next = g.To
			continue
		}
		if next >= s.First {
			want = append(want, m.entries[next-1])
		}
	}
	return want
}

// differs says what is different, byte for byte.
func differs(got, want *gateway.Entry) string {
	g, w := got.Event, want.Event
	if w.Type == gateway.TypeGap {
		var a, b gateway.Gap
		if g.Type != w.Type || json.Unmarshal(g.Data, &a) != nil || json.Unmarshal(w.Data, &b) != nil ||
			a.From != b.From || a.To != b.To || a.Reason != b.Reason || got.Offset != want.Offset {
			return "got " + describe(got) + ", want the gap " + describe(want)
		}
		return ""
	}
	if got.Offset != want.Offset || !got.Received.Equal(want.Received.Truncate(time.Microsecond)) || !bytes.Equal(g.Data, w.Data) || !g.Time.Equal(w.Time) ||
		!maps.Equal(g.Extensions, w.Extensions) || [6]string{g.ID, g.Source, g.Type, g.Subject, g.DataContentType, g.DataSchema} !=
		[6]string{w.ID, w.Source, w.Type, w.Subject, w.DataContentType, w.DataSchema} {
		return "got " + describe(got) + ", want " + describe(want)
	}
	return ""
}

func describe(e *gateway.Entry) string {
	c := *e
	c.Event.Data = c.Event.Data[:min(len(c.Event.Data), 100)]
	b, _ := json.Marshal(c) // for people
	return string(b)
}

// checkRecent wants the newest events with their marks, of the newest commits as far as they are kept.
func (w *modelled) checkRecent(t *rapid.T) {
	first, next := gateway.Offset(w.l.first.Load()), gateway.Offset(0)
	begins := gateway.Offset(0)
	err := w.l.Recent(func(e *gateway.Entry, mark uint32) error {
		if next == 0 {
			next, begins = e.Offset, e.Offset
		}
		if e.Offset != next || mark != w.m.marks[next-1] {
			t.Fatalf("the newest events have %d with mark %d, want %d with %d", e.Offset, mark, next, w.m.marks[next-1])
		}
		if fault := differs(e, &w.m.entries[next-1]); fault != "" {
			t.Fatal("the newest events: ", fault)
		}
		next++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	oldest := max(w.m.batches0(), first)
	if begins != 0 && next != w.m.last()+1 || begins > oldest || begins == 0 && first <= w.m.last() {
		t.Fatalf("the newest events go from %d to %d, want %d to %d", begins, next-1, oldest, w.m.last())
	}
}

// batches0 is where the oldest of the newest commits begins.
func (m *model) batches0() gateway.Offset {
	if n := len(m.batches); n > 0 {
		return m.batches[max(0, n-recentBlocks)]
	}
	return 1
}

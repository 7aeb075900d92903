package forwarder

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gateway"
)

// recall reads what the forwarder remembers of its routes and its budget.
func (f *Forwarder) recall() error {
	month := spent{}
	read := func(key string, fn func(value []byte) error) error {
		return f.o.Log.Scan(key, func(k string, value []byte) error {
			if k != key {
				return nil
			}
			return fn(value)
		})
	}
	err := read(memoryKey(f.o.Name), func(value []byte) error {
		m, err := parseMemory(value, f.o.Compile)
		if err != nil {
			f.o.Logger.Warn("what was delivered by routes of before cannot be told any more: it may be delivered again", "err", err)
			m.Handovers = nil
		}
		f.memory = m
		return nil
	})
	if err != nil {
		return err
	}
	err = read(spentKey(f.o.Name), func(value []byte) error { return json.Unmarshal(value, &month) })
	f.spent = newMeter(f.o.Budget, month, time.Now())
	return err
}

// place finds where each priority is, and registers those that are new.
func (f *Forwarder) place() ([]track, error) {
	s := f.o.Log.Status()
	known := findTracks(f.o.Name, s.Cursors)
	for i := range known {
		if known[i].priority < 0 {
			known[i].priority = lowestOf(f.memory.Routes)
		}
	}
	if len(known) > 0 && sameRoutes(f.memory.Routes, f.o.Routes) && (f.o.CatchUp == LiveFirst || !anyBacklog(known)) {
		known = f.withBases(known)
		if lost := unclaimed(known, cursorsOf(f.o.Name, s.Cursors)); len(lost) > 0 { // by a stop between two writes: nobody would ever move them
			if err := f.o.Log.Submit(context.Background(), gateway.Batch{Forget: lost}, f.committed); err != nil {
				return nil, fmt.Errorf("forget places that nobody has: %w", err)
			}
		}
		return known, nil
	}
	at := max(s.First, 1) - 1
	change := gateway.Batch{}
	if len(known) == 0 { // its places were forgotten: what it settled with them counts no longer
		f.memory = memory{}
	}
	switch {
	case len(known) > 0:
		at = f.handOver(known)
		change.Forget = cursorsOf(f.o.Name, s.Cursors)
	case f.o.Start != nil:
		var err error
		if at, err = f.o.Start(f.o.Log); err != nil {
			return nil, err
		}
	}
	if len(f.memory.Handovers) > maxHandovers {
		return nil, errHandovers
	}
	tracks := make([]track, 0, len(f.routing.priorities))
	for _, priority := range f.routing.priorities {
		tracks = append(tracks, track{priority: priority, live: at})
	}
	tracks = f.withBases(tracks)
	for i := range tracks {
		change.Cursors = append(change.Cursors, gateway.CursorMove{Name: tracks[i].base, Offset: at})
		change.Forget = without(change.Forget, tracks[i].base)
	}
	f.memory.Routes = f.o.Routes
	if len(f.o.Routes) > 0 || len(known) > 0 {
		value, err := json.Marshal(f.memory)
		if err != nil {
			return nil, err
		}
		change.KV = []gateway.KeyValue{{Key: memoryKey(f.o.Name), Value: value}}
	}
	if err := f.o.Log.Submit(context.Background(), change, f.committed); err != nil {
		return nil, fmt.Errorf("register its place: %w", err)
	}
	return tracks, nil
}

// handOver remembers how far it had come, and returns where to begin.
func (f *Forwarder) handOver(known []track) gateway.Offset {
	routing, err := newRouting(f.memory.Routes, f.o.Compile)
	h := handover{Routes: f.memory.Routes, routing: routing}
	at := known[0].oldest()
	for _, t := range known {
		at, h.Until = min(at, t.oldest()), max(h.Until, t.live)
		ht := handoverTrack{Priority: t.priority, Live: t.live}
		for _, s := range t.backlog {
			ht.Backlog = append(ht.Backlog, [2]gateway.Offset{s.at, s.to})
		}
		h.Tracks = append(h.Tracks, ht)
	}
	if err != nil {
		f.o.Logger.Warn("what was delivered by the routes of before cannot be told any more: it may be delivered again", "err", err)
		return at
	}
	if h.Until > at || len(f.memory.Handovers) > 0 {
		f.memory.Handovers = append(f.memory.Handovers, h)
	}
	kept := f.memory.Handovers[:0]
	for _, old := range f.memory.Handovers {
		if old.Until > at {
			kept = append(kept, old)
		}
	}
	f.memory.Handovers = kept
	return at
}

// withBases gives the tracks the names of their cursors.
func (f *Forwarder) withBases(tracks []track) []track {
	for i := range tracks {
		t := &tracks[i]
		t.more = make(chan struct{}, 1)
		t.base = CursorPrefix + f.o.Name
		if t.priority != f.routing.lowest() {
			t.base += fmt.Sprintf("/p%d", t.priority)
		}
	}
	return tracks
}

func lowestOf(routes []Route) int {
	lowest := 0
	for i := range routes {
		if i == 0 || routes[i].Priority < lowest {
			lowest = routes[i].Priority
		}
	}
	return lowest
}

func anyBacklog(tracks []track) bool {
	for _, t := range tracks {
		if len(t.backlog) > 0 {
			return true
		}
	}
	return false
}

func without(names []string, name string) []string {
	kept := names[:0]
	for _, n := range names {
		if n != name {
			kept = append(kept, n)
		}
	}
	return kept
}

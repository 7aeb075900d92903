package forwarder

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"gateway"
)

// A forwarder's places in the log are cursors: they cost no sync of their own, and hold back what is not settled. Each priority has one for
// its live events, and two for each stretch of the backlog.
//
//	forwarder/<name>                       the lowest priority
//	forwarder/<name>/p<priority>           another
//	<either>/backlog/<from, 16 hex digits> how far the stretch is settled
//	<the same>/to                          its last offset

// CursorPrefix is what the cursors of forwarders begin with.
const CursorPrefix = "forwarder/"

// OwnerOf returns the name of the forwarder that the cursor is of; false if it is no forwarder's.
func OwnerOf(cursor string) (name string, ok bool) {
	rest, ok := strings.CutPrefix(cursor, CursorPrefix)
	name, _, _ = strings.Cut(rest, "/")
	return name, ok
}

// stretch is a part of the backlog: of the offsets behind after up to to, those behind at are to be delivered.
type stretch struct {
	from   gateway.Offset // the first; it names the cursors
	at, to gateway.Offset
}

// track is what a priority has in the log.
type track struct {
	priority int
	base     string // of its cursors
	live     gateway.Offset
	backlog  []stretch     // in order
	more     chan struct{} // of size one: there is another stretch
}

func (t *track) stretchCursor(s *stretch) string {
	return fmt.Sprintf("%s/backlog/%016x", t.base, uint64(s.from))
}

// moves are the cursors of a stretch.
func (t *track) moves(s *stretch) []gateway.CursorMove {
	name := t.stretchCursor(s)
	return []gateway.CursorMove{{Name: name, Offset: s.at}, {Name: name + "/to", Offset: s.to}}
}

// oldest is the place behind which something is to be delivered.
func (t *track) oldest() gateway.Offset {
	at := t.live
	for _, s := range t.backlog {
		at = min(at, s.at)
	}
	return at
}

// findTracks reads the places of the named forwarder out of the log's cursors; none if it is new. priority -1 is the lowest.
func findTracks(name string, cursors map[string]gateway.Offset) []track {
	byPriority := map[int]*track{}
	get := func(priority int) *track {
		if byPriority[priority] == nil {
			byPriority[priority] = &track{priority: priority}
		}
		return byPriority[priority]
	}
	for cursor, at := range cursors {
		rest, ok := strings.CutPrefix(cursor, CursorPrefix+name)
		if !ok || rest != "" && rest[0] != '/' {
			continue
		}
		priority := -1
		if p, ok := strings.CutPrefix(rest, "/p"); ok {
			digit, after, _ := strings.Cut(p, "/")
			n, err := strconv.Atoi(digit)
			if err != nil {
				continue
			}
			priority, rest = n, ""
			if after != "" {
				rest = "/" + after
			}
		}
		t := get(priority)
		from, ok := strings.CutPrefix(rest, "/backlog/")
		switch {
		case rest == "":
			t.live = at
		case ok && !strings.HasSuffix(from, "/to"):
			n, err := strconv.ParseUint(from, 16, 64)
			if to, known := cursors[cursor+"/to"]; err == nil && known {
				t.backlog = append(t.backlog, stretch{from: gateway.Offset(n), at: at, to: to})
			}
		}
	}
	tracks := make([]track, 0, len(byPriority))
	for _, t := range byPriority {
		slices.SortFunc(t.backlog, func(a, b stretch) int { return int(int64(a.from - b.from)) })
		tracks = append(tracks, *t)
	}
	slices.SortFunc(tracks, func(a, b track) int { return a.priority - b.priority })
	return tracks
}

// cursorsOf are the names of all cursors of the named forwarder.
func cursorsOf(name string, cursors map[string]gateway.Offset) []string {
	var names []string
	for cursor := range cursors {
		if owner, ok := OwnerOf(cursor); ok && owner == name {
			names = append(names, cursor)
		}
	}
	return names
}

// unclaimed are those of cursors that are none of the tracks'.
func unclaimed(tracks []track, cursors []string) (lost []string) {
	claimed := map[string]bool{}
	for i := range tracks {
		t := &tracks[i]
		claimed[t.base] = true
		for j := range t.backlog {
			for _, m := range t.moves(&t.backlog[j]) {
				claimed[m.Name] = true
			}
		}
	}
	for _, name := range cursors {
		if !claimed[name] {
			lost = append(lost, name)
		}
	}
	return lost
}

// handover is how a forwarder with other routes left off. What it had settled, by its own routes, is not delivered again.
type handover struct {
	Routes []Route         `json:"routes"`
	Until  gateway.Offset  `json:"until"` // nothing behind it was settled
	Tracks []handoverTrack `json:"tracks"`

	routing *routing
}

type handoverTrack struct {
	Priority int                 `json:"priority"`
	Live     gateway.Offset      `json:"live"`
	Backlog  [][2]gateway.Offset `json:"backlog,omitempty"` // behind the first, up to the second
}

// settled says whether e was dealt with: delivered, set aside, or not wanted.
func (h *handover) settled(e *gateway.Entry) bool {
	if e.Offset > h.Until {
		return false
	}
	route, _ := h.routing.of(&e.Event)
	if route == nil {
		route = &Route{Priority: h.routing.lowest()} // it was passed over there
	}
	for _, t := range h.Tracks {
		if t.Priority != route.Priority {
			continue
		}
		if e.Offset > t.Live {
			return false
		}
		for _, b := range t.Backlog {
			if e.Offset > b[0] && e.Offset <= b[1] {
				return false
			}
		}
		return true
	}
	return false
}

// memory is what a forwarder remembers beside its places, under the key "routes/<name>".
type memory struct {
	Routes    []Route    `json:"routes"`
	Handovers []handover `json:"handovers,omitempty"`
}

func memoryKey(name string) string { return "routes/" + name }

func parseMemory(value []byte, compile Compiler) (memory, error) {
	var m memory
	if err := json.Unmarshal(value, &m); err != nil {
		return m, fmt.Errorf("read what it remembers: %w", err)
	}
	for i := range m.Handovers {
		h := &m.Handovers[i]
		var err error
		if h.routing, err = newRouting(h.Routes, compile); err != nil {
			return m, fmt.Errorf("read what it remembers: %w", err)
		}
	}
	return m, nil
}

// sameRoutes says whether a and b send every event the same way.
func sameRoutes(a, b []Route) bool {
	return len(a) == len(b) && slices.EqualFunc(a, b, func(x, y Route) bool {
		x.TTL, y.TTL = 0, 0
		return reflect.DeepEqual(x, y)
	})
}

// maxHandovers bounds how often routes can change before what is waiting was delivered.
const maxHandovers = 16

var errHandovers = errors.New("its routes changed too often while events wait: let it deliver first, or forget it")

// Memories are writes that delete what the named forwarder remembers beside its places and dead letters.
func Memories(name string) []gateway.KeyValue {
	return []gateway.KeyValue{{Key: memoryKey(name)}, {Key: spentKey(name)}}
}

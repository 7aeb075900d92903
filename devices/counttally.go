package devices

import (
	"log/slog"
	"slices"
	"sync"
	"time"

	"gateway"
	"gateway/devices/gpiochip"
)

// maxNews is how many events of a counter wait for the log; of runs of lost edges there is room for one more, into which all later ones go.
const maxNews = 256

// tally is what a counter has counted. The goroutine that reads edges adds to it, whatever the log does; another one takes from it.
//
// Its record is written under the mutex, since the order of what it says matters; it is in memory, and takes microseconds.
type tally struct {
	logger *slog.Logger
	wants  func(rising bool) bool

	mu       sync.Mutex // guards what follows
	total    uint64     // of all time
	unseen   uint64     // those of total that were only told by the numbers of others
	pace     pace
	sequence edgeSequence
	bounce   *debouncer
	news     []remarkedNews
	flying   int    // of news, that the commit under way has
	dropped  uint64 // news for which there was no room
	losses   lossLog
	base     [16]byte
	record   *countRecord // nil: none
	failing  bool         // the record could not be written
}

// remarkedNews is an event to come, whose time is not known by the wall clock if it is of an edge.
type remarkedNews struct {
	kind string
	wall time.Time
	edge time.Duration // where wall is zero
	data any
}

// settle counts an edge that has held since it came, where the gateway debounces. The mutex is held.
func (t *tally) settle(now time.Duration) {
	if t.bounce == nil {
		return
	}
	if settled, ok := t.bounce.settle(now); ok {
		t.count(settled)
		t.write()
	}
}

// end is called when the line fails; it returns the total.
func (t *tally) end(now time.Duration) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settle(now)
	t.bounce = nil
	return t.total
}

// begin is called when the line was opened.
func (t *tally) begin(l *openLine) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sequence, t.bounce, t.pace = edgeSequence{}, nil, pace{}
	if l.hold > 0 {
		t.bounce = &debouncer{hold: l.hold, on: l.on}
	}
}

// add counts edges; when it returns, they outlive the process. It returns how many the kernel had no room for.
func (t *tally) add(edges []gpiochip.Event) (lost uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range edges {
		if h, ok := t.sequence.next(e); ok {
			lost += uint64(h.lost)
			t.hole(e, h)
		}
		if t.bounce == nil {
			t.count(e)
		} else if settled, ok := t.bounce.next(e); ok {
			t.count(settled)
		}
	}
	t.losses.add(t.logger, lost)
	t.write()
	return lost
}

func (t *tally) count(e gpiochip.Event) {
	if t.wants(e.Rising) {
		t.total++
		t.pace.edge(e.At, t.total)
	}
}

// hole counts edges that were lost: the kernel says how many there were. Where the gateway debounces, nobody knows how many of them would have counted: none do.
func (t *tally) hole(e gpiochip.Event, h hole) {
	o := overrunData{Lost: uint64(h.lost), From: h.from, To: h.to}
	if t.bounce == nil {
		o.Counted = o.Lost
		t.total += o.Lost
		t.unseen += o.Lost
	} else {
		t.bounce.waiting = false
	}
	if n := len(t.news); n >= maxNews && n > t.flying && t.news[n-1].kind == EventOverrun {
		last := t.news[n-1].data.(overrunData)
		last.Lost, last.Counted, last.To = last.Lost+o.Lost, last.Counted+o.Counted, o.To
		t.news[n-1].data = last
		return
	}
	t.news = append(t.news, remarkedNews{kind: EventOverrun, edge: e.At, data: o})
}

// tell adds an event for the next commit.
func (t *tally) tell(n remarkedNews) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.news) > maxNews {
		t.dropped++
		t.logger.Warn("the log takes nothing: an event of the counter is dropped", "type", n.kind, "dropped", t.dropped)
		return
	}
	t.news = append(t.news, n)
}

// counted is a tally at a moment.
type counted struct {
	total, unseen uint64
	rate          float64 // a second
	paced         bool    // rate is known
	news          []remarkedNews
}

// at is the tally at a moment that is now.
func (t *tally) at(now time.Duration) counted {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settle(now)
	c := counted{total: t.total, unseen: t.unseen, news: slices.Clone(t.news)}
	t.flying = len(c.news)
	c.rate, c.paced = t.pace.rate(now)
	return c
}

// stored is called when c has become durable, as the count of that ID.
func (t *tally) stored(c counted, id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.base = countBase(id)
	t.news, t.flying = slices.Delete(t.news, 0, len(c.news)), 0
	t.pace.told()
	t.write()
}

func (t *tally) write() {
	if t.record == nil {
		return
	}
	err := t.record.write(recordedCount{base: t.base, total: t.total, unseen: t.unseen})
	if err != nil && !t.failing {
		t.logger.Warn("the runtime count cannot be written: a kill of the process now costs what came since the last count", "error", err)
	}
	t.failing = err != nil
}

// live is the status of the counter now.
func (t *tally) live(s *gateway.DeviceStatus, spec *Spec, now time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rate, ok := t.pace.rate(now)
	s.Value = spec.meterText(t.total, rate, ok)
}

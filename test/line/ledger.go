package line

import (
	"fmt"
	"sync"
)

// ledger compares what sensors were told with what the upstream received. Sequences of a sensor begin with 0 and rise by 1. It is
// safe for concurrent use.
type ledger struct {
	mu       sync.Mutex // guards what follows
	sensors  []account
	ids      map[string]place
	counts   Counts
	examples []string
}

// place is an event: the sensor and its sequence.
type place struct {
	sensor int
	seq    uint64
}

// account is one sensor's.
type account struct {
	acked, arrived []bool    // by sequence; as long as what was sent
	next           [2]uint64 // by lane: the least sequence that may arrive there for the first time
}

// Lanes of an event, as its attribute backfill says.
const (
	laneLive = iota
	laneBackfill
)

// Counts are what a ledger comes to.
type Counts struct {
	Sent, Acknowledged uint64
	// Received counts all arrivals, Arrived distinct events, of which Backfilled came first by that lane; Repeated are arrivals whose ID
	// was there before.
	Received, Arrived, Backfilled, Repeated uint64
	// Pending were acknowledged and have not arrived: at the end they are lost.
	Pending uint64
	// The other faults: a first arrival behind a later one of its source and lane, an event under two IDs, an ID with two events, and a
	// payload that is not what was sent.
	Disordered, Twice, Reused, Altered uint64
}

// Faults are all that must not be, at the end.
func (c *Counts) Faults() uint64 {
	return c.Pending + c.Disordered + c.Twice + c.Reused + c.Altered
}

func (c *Counts) add(o *Counts) {
	for _, p := range [][2]*uint64{
		{&c.Sent, &o.Sent}, {&c.Acknowledged, &o.Acknowledged}, {&c.Received, &o.Received}, {&c.Arrived, &o.Arrived},
		{&c.Backfilled, &o.Backfilled}, {&c.Repeated, &o.Repeated}, {&c.Pending, &o.Pending}, {&c.Disordered, &o.Disordered},
		{&c.Twice, &o.Twice}, {&c.Reused, &o.Reused}, {&c.Altered, &o.Altered},
	} {
		*p[0] += *p[1]
	}
}

func newLedger(sensors int) *ledger {
	return &ledger{sensors: make([]account, sensors), ids: map[string]place{}}
}

// sent says that a sensor is about to publish its next sequence.
func (l *ledger) sent(sensor int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := &l.sensors[sensor]
	a.acked, a.arrived = append(a.acked, false), append(a.arrived, false)
	l.counts.Sent++
}

// acknowledged says that the gateway took responsibility.
func (l *ledger) acknowledged(sensor int, seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := &l.sensors[sensor]
	if seq >= uint64(len(a.acked)) || a.acked[seq] {
		l.fault(&l.counts.Altered, "sensor %d was told of sequence %d, which was not waiting", sensor, seq)
		return
	}
	a.acked[seq] = true
	l.counts.Acknowledged++
	if !a.arrived[seq] {
		l.counts.Pending++
	}
}

// arrival says that the upstream received an event under an ID; intact is whether its payload is what was sent.
func (l *ledger) arrival(id string, lane int, p place, intact bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Received++
	if p.sensor < 0 || p.sensor >= len(l.sensors) || p.seq >= uint64(len(l.sensors[p.sensor].acked)) || !intact {
		l.fault(&l.counts.Altered, "%s is sensor %d sequence %d, which was not sent, or not so", id, p.sensor, p.seq)
		return
	}
	was, repeated := l.ids[id]
	switch {
	case repeated && was != p:
		l.fault(&l.counts.Reused, "%s is sensor %d sequence %d and sensor %d sequence %d", id, was.sensor, was.seq, p.sensor, p.seq)
		return
	case repeated:
		l.counts.Repeated++
		return
	}
	l.ids[id] = p
	l.first(id, lane, p)
}

// first judges an arrival whose ID was not there before.
func (l *ledger) first(id string, lane int, p place) {
	a := &l.sensors[p.sensor]
	if a.arrived[p.seq] {
		l.fault(&l.counts.Twice, "sensor %d sequence %d arrived again, as %s", p.sensor, p.seq, id)
		return
	}
	if p.seq < a.next[lane] {
		l.fault(&l.counts.Disordered, "sensor %d sequence %d arrived first behind %d in lane %d, as %s", p.sensor, p.seq, a.next[lane]-1, lane, id)
	}
	a.next[lane] = max(a.next[lane], p.seq+1)
	a.arrived[p.seq] = true
	l.counts.Arrived++
	if lane == laneBackfill {
		l.counts.Backfilled++
	}
	if a.acked[p.seq] {
		l.counts.Pending--
	}
}

// maxExamples is how many faults are described; all are counted.
const maxExamples = 10

func (l *ledger) fault(count *uint64, format string, args ...any) {
	*count++
	if len(l.examples) < maxExamples {
		l.examples = append(l.examples, fmt.Sprintf(format, args...))
	}
}

func (l *ledger) snapshot() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}

// final is the state at the end, with what is lost among the examples.
func (l *ledger) final() (Counts, []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	examples := append([]string{}, l.examples...)
	for n := range l.sensors {
		for seq, acked := range l.sensors[n].acked {
			if acked && !l.sensors[n].arrived[seq] && len(examples) < 2*maxExamples {
				examples = append(examples, fmt.Sprintf("sensor %d sequence %d was acknowledged and did not arrive", n, seq))
			}
		}
	}
	return l.counts, examples
}

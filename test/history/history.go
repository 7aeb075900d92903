// Package history records what clients published and what an upstream received, and says where the two do not fit the
// promise: what was acknowledged arrives, each client's events arrive in its order, and nothing is there twice once
// repeated IDs are dropped, except what the client itself had to send again.
package history

import (
	"fmt"
	"hash/maphash"
	"sync"
)

// maxExamples is how many violations are described; all are counted.
const maxExamples = 10

// History is safe for concurrent use. Sequences of a client begin with 0 and rise by 1.
type History struct {
	seed maphash.Seed

	mu       sync.Mutex // guards what follows
	clients  []client
	ids      map[uint64]place // by hash of the ID
	examples []string
	report   Report
}

type place struct {
	client int
	seq    uint64
}

type client struct {
	sent    uint64         // sequences below were sent
	acked   []bool         // by sequence
	arrived []bool         // by sequence
	resent  map[uint64]int // how often the client sent a sequence again
	copies  map[uint64]int // stored copies with different IDs beyond the first
	highest uint64         // highest sequence that arrived, plus 1
}

// Report is what a history comes to.
type Report struct {
	Sent, Acknowledged, Resent uint64
	// Received counts all arrivals, Arrived distinct events; Repeated are arrivals with an ID that was there before.
	Received, Arrived, Repeated uint64
	// StoredTwice are events that stand under several IDs because the client sent them again. They are not a fault.
	StoredTwice uint64
	// Pending are acknowledged events that have not arrived; at the end of a run they are the lost ones.
	Pending uint64
	// The faults: a first arrival behind a later one, a copy that no resending explains, an ID with two contents, a
	// payload that is not what was sent, and one that was never sent.
	Disordered, Duplicates, IDsReused, Altered, Unsent uint64
	// Examples describe the first faults.
	Examples []string
}

// Faults is the number of faults, what is lost among them.
func (r *Report) Faults() uint64 {
	return r.Pending + r.Disordered + r.Duplicates + r.IDsReused + r.Altered + r.Unsent
}

// New returns the empty history of a number of clients.
func New(clients int) *History {
	h := &History{seed: maphash.MakeSeed(), clients: make([]client, clients), ids: map[uint64]place{}}
	for i := range h.clients {
		h.clients[i].resent, h.clients[i].copies = map[uint64]int{}, map[uint64]int{}
	}
	return h
}

// Sent says that a client is about to send its next sequence for the first time.
func (h *History) Sent(n int, seq uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := &h.clients[n]
	if seq != c.sent {
		h.fault(&h.report.Unsent, "client %d sent sequence %d, want %d: the client itself is wrong", n, seq, c.sent)
		return
	}
	c.sent++
	c.acked, c.arrived = append(c.acked, false), append(c.arrived, false)
	h.report.Sent++
}

// Resent says that a client is about to send a sequence again.
func (h *History) Resent(n int, seq uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clients[n].resent[seq]++
	h.report.Resent++
}

// Acknowledged says that the broker took responsibility for a sequence: PUBACK or PUBREC.
func (h *History) Acknowledged(n int, seq uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := &h.clients[n]
	if seq >= c.sent || c.acked[seq] {
		return
	}
	c.acked[seq] = true
	h.report.Acknowledged++
	if !c.arrived[seq] {
		h.report.Pending++
	}
}

// Arrived says that the upstream received a sequence under an ID; intact is whether its payload is what was sent.
func (h *History) Arrived(id string, n int, seq uint64, intact bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.report.Received++
	if n < 0 || n >= len(h.clients) || seq >= h.clients[n].sent {
		h.fault(&h.report.Unsent, "client %d sequence %d arrived as %s and was never sent", n, seq, id)
		return
	}
	if !intact {
		h.fault(&h.report.Altered, "client %d sequence %d arrived as %s with another payload", n, seq, id)
	}
	key := maphash.String(h.seed, id)
	if was, repeated := h.ids[key]; repeated {
		h.report.Repeated++
		if was != (place{n, seq}) {
			h.fault(&h.report.IDsReused, "id %s is client %d sequence %d and client %d sequence %d", id, was.client, was.seq, n, seq)
		}
		return
	}
	h.ids[key] = place{n, seq}
	h.newID(id, n, seq)
}

// newID judges an arrival whose ID was not there before.
func (h *History) newID(id string, n int, seq uint64) {
	c := &h.clients[n]
	if c.arrived[seq] {
		c.copies[seq]++
		if c.copies[seq] > c.resent[seq] {
			h.fault(&h.report.Duplicates, "client %d sequence %d arrived again as %s, and the client sent it again %d times", n, seq, id, c.resent[seq])
			return
		}
		h.report.StoredTwice++
		return
	}
	if seq+1 < c.highest {
		h.fault(&h.report.Disordered, "client %d sequence %d arrived first behind %d, as %s", n, seq, c.highest-1, id)
	}
	c.highest = max(c.highest, seq+1)
	c.arrived[seq] = true
	h.report.Arrived++
	if c.acked[seq] {
		h.report.Pending--
	}
}

func (h *History) fault(count *uint64, format string, args ...any) {
	*count++
	if len(h.examples) < maxExamples {
		h.examples = append(h.examples, fmt.Sprintf(format, args...))
	}
}

// Snapshot is the state so far.
func (h *History) Snapshot() Report {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.report
}

// Final is the report at the end of a run, where whatever is acknowledged and has not arrived is lost.
func (h *History) Final() Report {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.report
	r.Examples = append([]string{}, h.examples...)
	for n := range h.clients {
		c := &h.clients[n]
		for seq, acked := range c.acked {
			if acked && !c.arrived[seq] && len(r.Examples) < 2*maxExamples {
				r.Examples = append(r.Examples, fmt.Sprintf("client %d sequence %d was acknowledged and did not arrive", n, seq))
			}
		}
	}
	return r
}

package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"gateway/test/powercut/found"
)

// ledger is what the clients were told. It is safe for concurrent use.
type ledger struct {
	mu      sync.Mutex // guards what follows
	boot    int        // the boot that runs, from 1
	clients []account
	acked   uint64
	now     []int64 // where the acks of this boot stand in its write log
}

// account is of one client; its sequences begin with 0 and rise by 1.
type account struct {
	sent uint64
	acks []ack // by sequence
}

// ack is when a publish was acknowledged: in which boot (0: not at all), and how long that boot's write log was then. All
// that the ack rests on is in that part of the log.
type ack struct {
	boot int
	at   int64
}

// always is a place in a write log behind all others.
const always = math.MaxInt64

func newLedger(clients int) *ledger { return &ledger{clients: make([]account, clients)} }

// booted says that another boot begins.
func (l *ledger) booted() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.boot++
	l.now = l.now[:0]
}

// send gives a client its next sequence.
func (l *ledger) send(client int) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := &l.clients[client]
	a.sent++
	a.acks = append(a.acks, ack{})
	return a.sent - 1
}

// acknowledged says that the write log had at bytes after the ack of a sequence had come.
func (l *ledger) acknowledged(client int, seq uint64, at int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clients[client].acks[seq] = ack{l.boot, at}
	l.acked++
	l.now = append(l.now, at)
}

// total is the number of acks.
func (l *ledger) total() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked
}

// anAck is the place of a random ack of this boot; false where there was none.
func (l *ledger) anAck(rng *rand.Rand) (int64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.now) == 0 {
		return 0, false
	}
	return l.now[rng.IntN(len(l.now))], true
}

// judgement is how a disk fits to the ledger.
type judgement struct {
	// Due is how many events had been acknowledged, missing how many of them are not there, invented what is there and
	// was never sent.
	due, missing, invented uint64
	examples               []string
}

// judge compares what was found on a disk that was cut off from power when the write log of the running boot had at bytes.
func (l *ledger) judge(f *found.Found, at int64) judgement {
	l.mu.Lock()
	defer l.mu.Unlock()
	var j judgement
	for n := range l.clients {
		ranges := found.Ranges{}
		if f.Clients[n] != nil {
			ranges = *f.Clients[n]
		}
		for seq, ack := range l.clients[n].acks {
			if ack.boot == 0 || ack.boot == l.boot && ack.at > at {
				continue
			}
			j.due++
			if !ranges.Has(uint64(seq)) {
				j.miss(n, seq, ack)
			}
		}
	}
	for n, ranges := range f.Clients {
		if n >= len(l.clients) {
			j.invented++
			j.examples = append(j.examples, fmt.Sprintf("there is a client %d", n))
			continue
		}
		if last := (*ranges)[len(*ranges)-1][1]; last >= l.clients[n].sent {
			j.invented++
			j.examples = append(j.examples, fmt.Sprintf("client %d sequence %d was never sent", n, last))
		}
	}
	j.examples = slices.Concat(j.examples, f.Examples)
	return j
}

// miss counts an acknowledged event that is not there.
func (j *judgement) miss(client, seq int, a ack) {
	j.missing++
	if j.missing <= 5 {
		j.examples = append(j.examples, fmt.Sprintf("client %d sequence %d, acknowledged in boot %d at %d of the write log, is missing", client, seq, a.boot, a.at))
	}
}

package mqtt

import "sync/atomic"

// Bounds of what is kept to know a QoS 1 publish again that its device sends a second time.
const (
	owedEach = 1024     // publishes of one client
	owedAll  = 64 << 10 // of all that are connected, and again as many of those that are away
)

// owed is a QoS 1 publish that the log was handed, as long as its client may be without the PUBACK.
type owed struct {
	hash uint64
	end  int64 // of its PUBACK in the connection's output, 0 while that is not there; in a batch: in the batch's acks
	id   uint16
}

// owing are those of a connection, in their order, and as many confirmed ones before them as its client had
// unconfirmed at once: its program may be that far behind its system. Guarded by session.mu.
type owing struct {
	list      []owed
	written   int  // so many of them, from the first, have their PUBACK in the outbox
	confirmed int  // so many of those the client's system has confirmed
	window    int  // the most that were not, at once
	sealed    bool // the connection writes no acknowledgement any more
	all       *atomic.Int64
}

// enter takes in the publishes of a batch that is handed to the log, as far as there is room, and returns how many there
// are before them. The client's system has confirmed the output up to reached.
func (o *owing) enter(bt *batch, reached int64) (before int) {
	for o.confirmed < o.written && o.list[o.confirmed].end <= reached {
		o.confirmed++
	}
	room := owedEach - (len(o.list) - o.confirmed)
	if o.all.Load() > owedAll {
		room = 0
	}
	bt.owed = bt.owed[:min(len(bt.owed), max(room, 0))] // what does not fit is new when it is sent again
	o.window = max(o.window, len(o.list)-o.confirmed+len(bt.owed))
	o.drop(len(o.list) + len(bt.owed) - o.window)
	before = len(o.list)
	for _, p := range bt.owed {
		o.list = append(o.list, owed{hash: p.hash, id: p.id})
	}
	o.all.Add(int64(len(bt.owed)))
	return before
}

// drop forgets the first n, as far as they are confirmed.
func (o *owing) drop(n int) {
	if n = min(n, o.confirmed); n <= 0 {
		return
	}
	o.list = o.list[:copy(o.list, o.list[n:])]
	o.written -= n
	o.confirmed -= n
	o.all.Add(-int64(n))
}

// leave takes back the publishes of a batch entered last, which the log did not take.
func (o *owing) leave(bt *batch) {
	o.list = o.list[:len(o.list)-len(bt.owed)]
	o.all.Add(-int64(len(bt.owed)))
}

// wrote notes that the acknowledgements of a batch, the oldest whose are not, stand in the outbox from start on.
func (o *owing) wrote(bt *batch, start int64) {
	for i := range bt.owed {
		o.list[o.written+i].end = start + bt.owed[i].end
	}
	o.written += len(bt.owed)
}

// end empties the list and returns what the client cannot have its PUBACK for, because it was never written (sure), and
// what it may not have it for: that is written and not among the first reached bytes.
func (o *owing) end(reached int64) (tail []kept) {
	for i, p := range o.list {
		if sure := i >= o.written; sure || p.end > reached {
			tail = append(tail, kept{hash: p.hash, id: p.id, sure: sure})
		}
	}
	o.all.Add(-int64(len(o.list)))
	o.list, o.written, o.confirmed = nil, 0, 0
	return tail
}

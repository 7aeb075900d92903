package mqttsink

import (
	"sync"
	"time"
)

// idSpace is how many packet identifiers there are (MQTT 3.1.1 section 2.3.1: 1 to 65535).
const idSpace = 65535

// window knows which publishes of one way of a connection are acknowledged. Publishes are numbered from 0; the packet id
// follows from the number: each way has a part of the identifiers. It dies with its connection, so that an acknowledgement can never count for another.
type window struct {
	wake  chan struct{} // of size one: the number of unacknowledged publishes came down to wakeAt
	base  uint64        // the identifiers are from base+1
	space uint64        // and so many

	mu     sync.Mutex // guards what follows
	first  uint64     // the oldest that is not acknowledged
	next   uint64     // the next to be published; next-first ≤ len(acked)
	acked  []bool     // by number modulo its length, for first to next
	wakeAt int
	moved  time.Time // the last acknowledgement, or the first publish after a pause
	closed bool      // acknowledgements no longer count
}

// newWindow makes the window of a way, of so many ways, for size publishes.
func newWindow(size, way, ways int) *window {
	space := uint64(idSpace / ways)
	return &window{
		wake: make(chan struct{}, 1), acked: make([]bool, min(size, int(space))), wakeAt: -1,
		base: uint64(way) * space, space: space,
	}
}

// packetID is that of the publish of that number.
func (w *window) packetID(number uint64) uint16 { return uint16(w.base + number%w.space + 1) }

// owns says whether the identifier is one of this window's.
func (w *window) owns(id uint16) bool { return uint64(id) > w.base && uint64(id) <= w.base+w.space }

// free returns the number of the next publish, and how many there is room for.
func (w *window) free() (next uint64, room int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.next, len(w.acked) - w.waiting()
}

func (w *window) waiting() int { return int(w.next - w.first) }

// published takes n more publishes in. It has to be called before they are written.
func (w *window) published(n int, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first == w.next {
		w.moved = now
	}
	w.next += uint64(n)
}

// ack takes the acknowledgements of ids in, and returns how many publishes still wait. One that nothing waits for is
// passed over.
func (w *window) ack(ids []uint16, now time.Time) (waiting int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return 0
	}
	for _, id := range ids {
		if !w.owns(id) {
			continue
		}
		ahead := (uint64(id) + w.space - uint64(w.packetID(w.first))) % w.space
		if ahead >= w.next-w.first {
			continue
		}
		w.acked[(w.first+ahead)%uint64(len(w.acked))] = true
		w.moved = now
	}
	for w.first < w.next && w.acked[w.first%uint64(len(w.acked))] {
		w.acked[w.first%uint64(len(w.acked))] = false
		w.first++
	}
	if w.waiting() <= w.wakeAt {
		w.wakeAt = -1
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	return w.waiting()
}

// reached says whether no more than target publishes wait. If more do, wake follows when that changes.
func (w *window) reached(target int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting() <= target {
		return true
	}
	w.wakeAt = target
	return false
}

// idle is for how long a publish has waited without any acknowledgement. 0: none waits.
func (w *window) idle(now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first == w.next {
		return 0
	}
	return now.Sub(w.moved)
}

// close ends the counting and returns a function that says of a number whether it was acknowledged.
func (w *window) close() (acked func(number uint64) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	return func(number uint64) bool { // nothing changes any more
		return number < w.first || number < w.next && w.acked[number%uint64(len(w.acked))]
	}
}

package buffer

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"sync"

	"gateway"
)

// boots are the boots of which the true time became known, and how far the log went by then: events of such a boot that came
// before have the time of a clock that had not been set, and get the true one on the way out.
type boots struct {
	mu    sync.Mutex // guards what follows
	known map[[16]byte]correction
}

// correction makes the true time of a boot's monotonic stamps.
type correction struct {
	offset int64          // microseconds: true time - time since boot
	last   gateway.Offset // the newest event when it became known
}

// maxBoots bounds how many are kept: each begins with a power cut, and the log of most is long delivered.
const maxBoots = 64

func bootKey(id [16]byte) []byte { return []byte(metaBoot + hex.EncodeToString(id[:])) }

func loadBoots(e *engine) (map[[16]byte]correction, error) {
	known := map[[16]byte]correction{}
	err := e.each(metaBoot, func(key string, value []byte) error {
		var id [16]byte
		c := input{b: value}
		k := correction{c.varint(), gateway.Offset(c.uvarint())}
		b, err := hex.DecodeString(key)
		if err != nil || len(b) != len(id) || c.done() != nil {
			return &RecordError{Key: metaBoot + key, Err: fmt.Errorf("it is no correction: %x", value)}
		}
		copy(id[:], b)
		known[id] = k
		return nil
	})
	return known, err
}

func (b *boots) get(id [16]byte) (correction, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c, ok := b.known[id]
	return c, ok
}

// changes are the writes that add a correction, and forget those that no event of the log needs any more.
func (b *boots) changes(id [16]byte, k correction, first gateway.Offset) []write {
	b.mu.Lock()
	defer b.mu.Unlock()
	value := binary.AppendUvarint(binary.AppendVarint(nil, k.offset), uint64(k.last))
	writes := []write{{bootKey(id), value}}
	oldest, kept := [16]byte{}, 0
	for other, c := range b.known {
		switch {
		case other == id:
		case c.last < first:
			writes = append(writes, write{key: bootKey(other)})
		default:
			if kept++; kept == 1 || c.last < b.known[oldest].last {
				oldest = other
			}
		}
	}
	if kept >= maxBoots {
		writes = append(writes, write{key: bootKey(oldest)})
	}
	return writes
}

// apply shows the writes to the readers.
func (b *boots) apply(id [16]byte, k correction, writes []write) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range writes {
		var other [16]byte
		if _, err := hex.Decode(other[:], w.key[len(metaBoot):]); err == nil && w.value == nil {
			delete(b.known, other)
		}
	}
	b.known[id] = k
}

// shift is what the times of a block are wrong by, in microseconds, and what its events say of that (see gateway.ExtClock); "" if
// they were right from the beginning.
func (b *boots) shift(h *header) (us int64, word string) {
	if h.flags&flagClockSynced != 0 {
		return 0, ""
	}
	c, ok := b.get(h.bootID)
	if !ok {
		return 0, gateway.ClockUnsynced
	}
	return c.offset + int64(h.monotonic/1000) - h.wall, gateway.ClockCorrected
}

// noteTime writes down the true time of this boot when it becomes known. It is the housekeeper's.
func (l *Log) noteTime() error {
	offset, ok := l.clock.learned()
	id := l.clock.kernel.boot
	known, before := l.boots.get(id)
	if !ok || before && abs(known.offset-offset) < strangeStep.Microseconds() {
		return nil
	}
	k := correction{offset, l.durable()}
	if before {
		k.last = known.last // what came since has the true time
	}
	writes := l.boots.changes(id, k, gateway.Offset(l.first.Load()))
	done, err := l.submitOwn(nil, writes)
	if err == nil {
		err = <-done
	}
	if errors.Is(err, gateway.ErrClosed) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write down the time of this boot: %w", err)
	}
	l.boots.apply(id, k, writes)
	if l.unsure.Load() {
		l.log.Info("the clock is synchronised: what came since boot gets its true time", "now", l.clock.now().time())
	}
	return nil
}

func abs(n int64) int64 { return max(n, -n) }

// newestTime is when the newest event of the log was received, corrected, in microseconds; the smallest number if there is none or it cannot be read.
func newestTime(e *engine, d *decoder) int64 {
	newest := int64(math.MinInt64)
	_ = e.blockBefore(math.MaxUint64, func(_ gateway.Offset, block []byte) error {
		if _, entries, err := d.decode(block); err == nil {
			newest = entries[len(entries)-1].Received.UnixMicro()
		}
		return nil
	})
	return newest
}

// bootFirst is the first offset that was given since the machine was switched on, of a log that has first to last; last+1 if none was. It looks at as many blocks as
// the length of the log has binary digits. A block that cannot be read counts as older.
func bootFirst(e *engine, boot [16]byte, first, last gateway.Offset) gateway.Offset {
	low, high := first, last+1 // the answer is from low to high
	for low < high {
		middle := low + (high-low)/2
		begins, ours := middle, false
		_ = e.blockBefore(middle, func(at gateway.Offset, value []byte) error {
			h, err := parseHeader(value)
			begins, ours = max(at, first), err == nil && h.bootID == boot && h.last() >= middle
			return nil
		})
		if ours {
			high = begins
		} else {
			low = middle + 1
		}
	}
	return high
}

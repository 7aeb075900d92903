package buffer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"gateway"
)

const (
	// ageStep is how many blocks are looked at in one go.
	ageStep = 4096
	// ageEvery is how often the oldest blocks are looked at.
	ageEvery = time.Second
)

// ages are the two bounds on the age of blocks.
type ages struct {
	expired age         // MaxAge: what nobody may keep
	retired age         // KeepDelivered: what is not kept for replay any more
	due     atomic.Bool // one of them has moved, and the writer has not looked
	mu      sync.Mutex  // held by who looks
}

// age finds the blocks that are older than a bound. It looks at each block once: times rise with offsets, so that everything
// before a block that is too old is too old.
//
// Only a block whose header says that the clock was synchronised decides, and only while it is so now: a device without a
// battery begins in 1970, and a clock that is set wrong for a minute must not empty the log. A block of such a time
// waits for a synchronised one behind it.
type age struct {
	before atomic.Uint64 // blocks before this offset are older than the bound

	// What follows belongs to who holds ages.mu.
	limit time.Duration  // 0: no bound
	next  gateway.Offset // where to look next
}

// look goes on through the blocks from first on, and returns whether before has moved, and whether there is more to look at.
func (a *age) look(e *engine, first gateway.Offset, now time.Time) (moved, more bool, err error) {
	if a.limit == 0 {
		return false, false, nil
	}
	oldest := now.Add(-a.limit).UnixMicro()
	from := max(a.next, first)
	times, err := e.blockTimes(from, ageStep, oldest)
	if err != nil {
		return false, false, err
	}
	for i := len(times) - 1; i >= 0; i-- {
		if !times[i].decides(oldest) || !e.sound(times[i].first) {
			continue // a damaged header must not empty the log
		}
		a.before.Store(uint64(times[i].first))
		moved = true
		break
	}
	if n := len(times); n > 0 {
		a.next = times[n-1].first
		if !times[n-1].stops(oldest) {
			a.next++
		}
	}
	return moved, len(times) == ageStep, nil
}

// blockTime is when a block began, as its header says, unchecked.
type blockTime struct {
	first  gateway.Offset
	wall   int64
	synced bool
}

// decides says that every block before this one is older than the bound.
func (b blockTime) decides(oldest int64) bool { return b.synced && b.wall < oldest }

// stops says that no block behind this one is older than the bound.
func (b blockTime) stops(oldest int64) bool { return b.synced && b.wall >= oldest }

// blockTimes returns the times of up to max blocks from offset on, up to the first that stops.
func (e *engine) blockTimes(offset gateway.Offset, max int, oldest int64) ([]blockTime, error) {
	var times []blockTime
	err := e.eachBlock(offset, func(first gateway.Offset, block []byte) error {
		t := headerTime(first, block)
		times = append(times, t)
		if len(times) == max || t.stops(oldest) {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return times, err
}

// errEnough ends a look.
var errEnough = errors.New("enough")

// headerTime reads only what it needs, and does not verify the block.
func headerTime(first gateway.Offset, block []byte) blockTime {
	t := blockTime{first: first}
	if len(block) >= headerSize && string(block[:4]) == blockMagic {
		t.synced = binary.LittleEndian.Uint16(block[6:])&flagClockSynced != 0
		t.wall = int64(binary.LittleEndian.Uint64(block[32:]))
	}
	return t
}

// sound says whether the block at first is what was written.
func (e *engine) sound(first gateway.Offset) bool {
	return e.get(blockKey(first), func(block []byte) error {
		_, err := parseHeader(block)
		return err
	}) == nil
}

// receivedAt is about when the events of the block were received, zero if that cannot be read.
func (l *Log) receivedAt(first gateway.Offset) time.Time {
	var at time.Time
	err := l.engine.get(blockKey(first), func(block []byte) error {
		if h, err := parseHeader(block); err == nil {
			shift, _ := l.boots.shift(&h)
			at = microseconds(h.wall + shift)
		}
		return nil
	})
	if err != nil {
		return time.Time{}
	}
	return at
}

// lookAtAges finds what is too old by now, and has the writer look if there is something. Nothing gets older while the clock
// is not synchronised.
func (l *Log) lookAtAges() error {
	at := l.clock.now()
	if !l.trusted(at) {
		return nil
	}
	now := at.time()
	if l.o.hooks.trusted != nil {
		now = l.o.hooks.now()
	}
	l.ages.mu.Lock()
	defer l.ages.mu.Unlock()
	first := gateway.Offset(l.first.Load())
	for _, a := range [...]*age{&l.ages.expired, &l.ages.retired} {
		for more := true; more; {
			moved, again, err := a.look(l.engine, first, now)
			if err != nil && !errors.Is(err, gateway.ErrClosed) {
				return fmt.Errorf("look for old blocks: %w", err)
			}
			if moved {
				l.lookAgain()
			}
			more = again && err == nil
			select {
			case <-l.stop:
				return nil
			default:
			}
		}
	}
	return nil
}

// lookAgain makes the writer look, though nothing is to be committed.
func (l *Log) lookAgain() {
	l.ages.due.Store(true)
	l.nudge()
}

// trusted says whether now is the time: nothing expires by a clock that is not synchronised.
func (l *Log) trusted(now moment) bool {
	if hook := l.o.hooks.trusted; hook != nil {
		return hook()
	}
	return now.known
}

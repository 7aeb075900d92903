package buffer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"gateway"
)

// Log is the durable log. All methods are safe for concurrent use.
type Log struct {
	o      Options
	log    *slog.Logger
	lock   *os.File
	engine *engine
	clock  *clock
	dec    *decoder
	logID  string
	epoch  uint32

	mu      sync.Mutex
	open    *group                    // gathers
	end     gateway.Offset            // the last offset given
	cursors map[string]gateway.Offset // as moved last, durable or not
	failure error                     // stopped the log
	closing bool
	room    chan struct{} // closed when a group was taken; nil while nobody waits

	wake chan struct{} // capacity 1: the writer has something to look at
	free chan *group   // capacity groups: not in use
	acks chan *group   // capacity 1: committed or failed; closed by the writer

	tail   tail
	gaps   gaps
	first  atomic.Uint64 // the oldest offset kept
	last   atomic.Uint64 // the newest durable offset
	usage  usage
	counts counts

	settledMu sync.Mutex
	settled   map[string]gateway.Offset // durable cursors; changed by the writer alone

	stop    chan struct{} // closed by Close, for the housekeeper
	writing sync.WaitGroup
	keeping sync.WaitGroup
	once    sync.Once
	closed  error
}

// groups is how many there are: one gathers, one is committed, one is acknowledged.
const groups = 3

// Open opens the log in o.Dir, or makes it. It takes no longer if much waits.
func Open(o Options) (*Log, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	l, err := openLocked(o)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open log: %w", err), lock.Close())
	}
	l.lock = lock
	return l, nil
}

func openLocked(o Options) (*Log, error) {
	dir, err := makeEngineDir(o.Dir, o.Reserve, o.hooks.free)
	if err != nil {
		return nil, err
	}
	e, err := openEngine(dir, engineGeometry(intSize), o.Logger)
	if err != nil {
		return nil, err
	}
	l, err := openStore(o, e)
	if err != nil {
		return nil, errors.Join(err, e.close())
	}
	return l, nil
}

func openStore(o Options, e *engine) (*Log, error) {
	s, err := loadState(e, o.Dir)
	if err != nil {
		return nil, err
	}
	if err := s.checkMachine(e, o.hooks.machine(), o.Logger); err != nil {
		return nil, err
	}
	seal, err := newSealer()
	if err != nil {
		return nil, err
	}
	dec, err := newDecoder(s.logID)
	if err != nil {
		return nil, err
	}
	l := &Log{
		o: o, log: o.Logger, engine: e, clock: newClock(), dec: dec, logID: s.logID, epoch: s.epoch,
		open: newGroup(), end: s.last, cursors: s.cursors, settled: maps.Clone(s.cursors),
		wake: make(chan struct{}, 1), free: make(chan *group, groups), acks: make(chan *group, 1), stop: make(chan struct{}),
	}
	for range groups - 1 {
		l.free <- newGroup()
	}
	l.first.Store(uint64(s.first))
	l.last.Store(uint64(s.last))
	l.gaps.list = s.gaps
	l.usage.init(l, s)
	w := newWriter(l, s, seal)
	l.writing.Go(w.run)
	l.writing.Go(l.acknowledge)
	l.keeping.Go(l.keepHouse)
	return l, nil
}

// Close stops taking, commits what was taken, calls the callbacks that are due, and closes the store. What was
// acknowledged does not depend on it. Readers that wait get gateway.ErrClosed. Calling it twice is fine.
func (l *Log) Close() error {
	l.once.Do(func() {
		l.mu.Lock()
		l.closing = true
		l.wakeRoom()
		l.mu.Unlock()
		l.nudge()
		l.writing.Wait()
		close(l.stop)
		l.keeping.Wait()
		l.tail.close()
		l.closed = errors.Join(l.engine.close(), l.lock.Close())
		l.dec.dec.Close()
	})
	return l.closed
}

// nudge makes the writer look.
func (l *Log) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// wakeRoom tells the submitters that wait for room to look again. l.mu is held.
func (l *Log) wakeRoom() {
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
}

// fail stops the log for good.
func (l *Log) fail(err error) {
	l.mu.Lock()
	first := l.failure == nil
	if first {
		l.failure = fmt.Errorf("the log stopped: %w", err)
	}
	l.wakeRoom()
	l.mu.Unlock()
	if first {
		l.log.Error("log stopped: nothing is accepted until a restart; check the disk and its cable or card, then restart the gateway",
			"dir", l.o.Dir, "err", err)
	}
}

func (l *Log) failed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failure
}

// Cursor returns where the named cursor was moved last, durable or not; false if there is none.
func (l *Log) Cursor(name string) (gateway.Offset, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	offset, ok := l.cursors[name]
	return offset, ok
}

// Get returns a copy of the durable value of key; ErrNotFound if there is none.
func (l *Log) Get(key string) ([]byte, error) {
	var value []byte
	err := l.engine.get([]byte(prefixKey+key), func(v []byte) error {
		value = append([]byte{}, v...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	return value, nil
}

// Scan calls fn with each durable key that begins with prefix, in order, until fn returns an error, which it returns. What changes meanwhile may
// be seen or not. fn may call the log and keep value.
func (l *Log) Scan(prefix string, fn func(key string, value []byte) error) error {
	var own error
	err := l.engine.each(prefixKey+prefix, func(key string, value []byte) error {
		own = fn(prefix+key, value)
		return own
	})
	if err != nil && own == nil {
		return fmt.Errorf("scan %s: %w", prefix, err)
	}
	return err
}

// Append appends the events, in this order, and returns when they survive a power cut. If ctx ends first, they
// may become durable all the same.
func (l *Log) Append(ctx context.Context, events ...gateway.Event) (gateway.Offset, error) {
	return l.Commit(ctx, gateway.Batch{Events: events})
}

// Commit is Submit and the wait for its callback. If ctx ends first, the batch may become durable all the same. A
// batch of nothing but cursors waits for up to a second.
func (l *Log) Commit(ctx context.Context, b gateway.Batch) (gateway.Offset, error) {
	type result struct {
		last gateway.Offset
		err  error
	}
	done := make(chan result, 1)
	err := l.Submit(ctx, b, func(last gateway.Offset, err error) { done <- result{last, err} })
	if err != nil {
		return 0, err
	}
	select {
	case r := <-done:
		return r.last, r.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// now is the wall clock.
func (l *Log) now() time.Time { return l.o.hooks.now() }

package buffer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"gateway"
)

// Log is the durable log. All methods are safe for concurrent use.
type Log struct {
	o        Options
	log      *slog.Logger
	lock     *os.File
	snapshot func() error // removes what ReadOnly made; nil without it
	engine   *engine
	clock    *clock
	boots    *boots
	looked   bool        // every table was read before it was opened
	unsure   atomic.Bool // events were taken while the true time was not known
	dec      *decoder
	logID    string
	epoch    uint32
	report   gateway.LogReport // of Open
	// bootFirst is the first offset that was given since the machine was switched on, as of Open.
	bootFirst gateway.Offset

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
	mender mender
	first  atomic.Uint64 // the oldest offset kept
	last   atomic.Uint64 // the newest durable offset
	usage  usage
	counts counts
	wear   wear
	ages   ages
	losses losses

	settledMu sync.Mutex
	settled   map[string]gateway.Offset // durable cursors; changed by the writer alone

	suspect atomic.Bool   // the tables are to be read as a whole at the next start
	stating sync.Mutex    // held by who writes the state
	stop    chan struct{} // closed by Close, for the housekeeper
	writing sync.WaitGroup
	keeping sync.WaitGroup
	once    sync.Once
	closed  error
}

// groups is how many there are: one gathers, one is committed, one is acknowledged.
const groups = 3

// Open opens the log in o.Dir, or makes it. It takes no longer if much waits. Files that are damaged are kept in the folder
// quarantine, what is right in them is kept in the log, and where events are missing there is a gap; Report says what was
// found. If nothing can be kept, or o.NoRepair is set, the error is a *DamageError.
func Open(o Options) (*Log, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if o.ReadOnly {
		return openSnapshot(o)
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	l, err := openLocked(context.Background(), o, recovery{lock: lock})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open log: %w", err), lock.Close())
	}
	l.lock = lock
	return l, nil
}

// openLocked opens the log in a directory that is ours. r has what a repair wants to be otherwise.
func openLocked(ctx context.Context, o Options, r recovery) (*Log, error) {
	if err := checkRoom(o.Dir, o.Reserve, o.hooks.free); err != nil {
		return nil, err
	}
	found, err := inspect(o.Dir, false)
	if err != nil {
		return nil, err
	}
	r.dir, r.log, r.free, r.found = o.Dir, o.Logger, o.hooks.free, found
	r.parent = cmp.Or(r.parent, filepath.Join(o.Dir, quarantineName))
	found.rebuild = found.rebuild || r.force
	if o.NoRepair && found.state.Rebuild {
		found.problem(stateName, "a repair was cut off: the next start goes on with it")
	}
	if o.NoRepair && (found.rebuild || !found.sound()) {
		return nil, &DamageError{Dir: o.Dir, Report: found.report()}
	}
	if err := r.before(ctx); err != nil {
		return nil, err
	}
	l, err := openRecovered(o, &r)
	if err == nil || !r.mayRebuild(err) {
		return l, err
	}
	if o.NoRepair {
		return nil, &DamageError{Dir: o.Dir, Report: found.report(), Err: err}
	}
	found.broken(engineName, "the store cannot be opened: %v", err)
	r.report = found.report()
	if err := r.rebuild(ctx); err != nil {
		return nil, err
	}
	return openRecovered(o, &r)
}

func openRecovered(o Options, r *recovery) (*Log, error) {
	dir, err := makeEngineDir(o.Dir)
	if err != nil {
		return nil, err
	}
	open := openEngine
	if o.ReadOnly {
		open = openPicture
	}
	e, err := open(dir, engineGeometry(intSize), o.Logger)
	if err != nil {
		return nil, err
	}
	l, err := openStore(o, e, r)
	if err != nil {
		return nil, errors.Join(err, e.close(closePatience))
	}
	return l, nil
}

func openStore(o Options, e *engine, r *recovery) (*Log, error) {
	if err := r.putBack(e); err != nil {
		return nil, err
	}
	s, err := loadState(e, o.Dir, r.found.fresh)
	if err != nil {
		return nil, err
	}
	if !o.ReadOnly {
		if err := r.after(e, &s); err != nil {
			return nil, err
		}
		if err := s.checkMachine(e, o.hooks.machine(), o.Logger); err != nil {
			return nil, err
		}
		if err := s.checkPlace(e, r.lock, o.Logger); err != nil {
			return nil, err
		}
	}
	seal, err := newSealer()
	if err != nil {
		return nil, err
	}
	known, err := loadBoots(e)
	if err != nil {
		return nil, err
	}
	times := &boots{known: known}
	dec, err := newDecoder(s.logID, times)
	if err != nil {
		return nil, err
	}
	l := &Log{
		o: o, log: o.Logger, engine: e, clock: openClock(&o, e, dec), boots: times, dec: dec, looked: r.found.full || !r.report.Repaired.IsZero(), logID: s.logID, epoch: s.epoch,
		open: newGroup(), report: r.report, end: s.last, cursors: s.cursors, settled: maps.Clone(s.cursors),
		wake: make(chan struct{}, 1), free: make(chan *group, groups), acks: make(chan *group, 1), stop: make(chan struct{}),
	}
	for range groups - 1 {
		l.free <- newGroup()
	}
	l.first.Store(uint64(s.first))
	l.last.Store(uint64(s.last))
	l.bootFirst = bootFirst(e, l.clock.kernel.boot, s.first, s.last)
	l.gaps.list = s.gaps
	l.ages.expired.limit, l.ages.retired.limit = o.MaxAge, o.KeepDelivered
	l.usage.init(l, s)
	w, err := newWriter(l, s, seal)
	if err != nil {
		return nil, err
	}
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
		patience := closePatience
		if l.failed() != nil {
			patience = closePatienceFailed
		}
		l.closed = errors.Join(l.noteState(stateFile{Closing: true}), l.engine.close(patience), removeEmptyWALs(l.engine.dir))
		l.closed = errors.Join(l.closed, l.writeClean(), l.lock.Close())
		if l.snapshot != nil {
			l.closed = errors.Join(l.closed, l.snapshot())
		}
		l.dec.dec.Close()
	})
	return l.closed
}

// writeClean writes down that the log was closed as it should be, and how far it goes.
func (l *Log) writeClean() error {
	if l.closed != nil || l.failed() != nil {
		return nil
	}
	return l.noteState(stateFile{Clean: true})
}

// noteState writes down s, and how far the log goes.
func (l *Log) noteState(s stateFile) error {
	if l.o.ReadOnly {
		return nil
	}
	l.stating.Lock()
	defer l.stating.Unlock()
	s.LogID, s.Epoch, s.Last, s.Suspect = l.logID, l.epoch, l.durable(), l.suspect.Load()
	err := writeState(l.o.Dir, s)
	if isFullDisk(err) {
		return nil // then the next start takes it for a crash, which is fine
	}
	return err
}

// Report is what Open found and did about the files of the log, the zero report if they were sound.
func (l *Log) Report() gateway.LogReport { return l.report }

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
	if errors.Is(err, errEngine) {
		l.suspect.Store(true)
	}
	if first {
		if noteErr := l.noteState(stateFile{}); noteErr != nil {
			err = errors.Join(err, noteErr)
		}
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

// now is the time, as far as it is known.
func (l *Log) now() time.Time { return l.clock.status().Now }

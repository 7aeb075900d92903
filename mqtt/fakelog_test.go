package mqtt

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gateway"
)

// fakeLog is a log in memory whose commits happen when the test lets them: it keeps the contract of the real one, but
// for the sync. One goroutine commits batch after batch and calls back.
type fakeLog struct {
	mu        sync.Mutex
	queue     []fakeBatch
	durable   []gateway.Event
	marks     []uint32 // of durable
	recents   int      // calls of Recent
	held      bool     // batches wait for release
	permits   int      // batches that may be committed although held
	full      bool
	most      int    // events of a batch, where it is not 0
	unfit     string // payload of an event that it never takes, where it is not empty
	failed    error
	refusals  int // Submits that found it full
	committed int // batches whose callback has returned
	closed    bool
	wake      chan struct{} // capacity 1
}

type fakeBatch struct {
	events []gateway.Event
	marks  []uint32
	done   func(gateway.Offset, error)
}

func newFakeLog(t testing.TB) *fakeLog {
	l := &fakeLog{wake: make(chan struct{}, 1)}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-l.wake:
				l.commitAll()
			case <-stop:
				return
			}
		}
	}()
	t.Cleanup(func() {
		l.change(func() { l.closed = true })
		close(stop)
		select {
		case <-stopped:
		case <-time.After(5 * time.Second):
			t.Errorf("a callback of the log hangs")
		}
	})
	return l
}

// Submit takes a copy of the batch: its memory is the caller's again when it returns.
func (l *fakeLog) Submit(ctx context.Context, b gateway.Batch, done func(gateway.Offset, error)) error {
	events := make([]gateway.Event, len(b.Events))
	for i, e := range b.Events {
		e.Subject, e.DataContentType = strings.Clone(e.Subject), strings.Clone(e.DataContentType)
		e.Data, e.Extensions = slices.Clone(e.Data), maps.Clone(e.Extensions)
		events[i] = e
	}
	marks := make([]uint32, len(events))
	copy(marks, b.Marks)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case l.closed:
		return gateway.ErrClosed
	case l.failed != nil:
		return l.failed
	case l.most > 0 && len(events) > l.most, l.unfit != "" && slices.ContainsFunc(events, l.isUnfit):
		return gateway.Permanent(errors.New("too large for the log"))
	case l.full && len(events) > 0:
		l.refusals++
		return gateway.ErrFull
	}
	l.queue = append(l.queue, fakeBatch{events, marks, done})
	l.nudge()
	return nil
}

func (l *fakeLog) isUnfit(e gateway.Event) bool { return string(e.Data) == l.unfit }

// Recent calls fn with all that is durable, IDs filled in.
func (l *fakeLog) Recent(fn func(e *gateway.Entry, mark uint32) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recents++
	for i, e := range l.durable {
		entry := gateway.Entry{Offset: gateway.Offset(i + 1), Event: e}
		if e.ID == "" {
			entry.Event.ID = gateway.EventID("fake", 1, entry.Offset)
		}
		if err := fn(&entry, l.marks[i]); err != nil {
			return err
		}
	}
	return nil
}

// readings counts the calls of Recent.
func (l *fakeLog) readings() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.recents
}

// append is what a design without callbacks has: it returns when the events are durable.
func (l *fakeLog) append(events ...gateway.Event) error {
	done := make(chan error, 1)
	if err := l.Submit(context.Background(), gateway.Batch{Events: events}, func(_ gateway.Offset, err error) { done <- err }); err != nil {
		return err
	}
	return <-done
}

func (l *fakeLog) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *fakeLog) commitAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) > 0 && (!l.held || l.permits > 0) {
		if l.held {
			l.permits--
		}
		b := l.queue[0]
		l.queue = l.queue[1:]
		err := l.failed
		if err == nil {
			l.durable = append(l.durable, b.events...)
			l.marks = append(l.marks, b.marks...)
		}
		last := gateway.Offset(len(l.durable))
		l.mu.Unlock()
		b.done(last, err)
		l.mu.Lock()
		l.committed++
	}
}

func (l *fakeLog) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	l.nudge()
}

// hold lets no further batch be committed until release or open.
func (l *fakeLog) hold() { l.change(func() { l.held, l.permits = true, 0 }) }

// release lets n batches be committed.
func (l *fakeLog) release(n int) { l.change(func() { l.permits += n }) }

// open lets everything be committed.
func (l *fakeLog) open() { l.change(func() { l.held = false }) }

func (l *fakeLog) setFull(full bool) { l.change(func() { l.full = full }) }

// fail makes every later commit and Submit fail, as a log does whose disk is broken.
func (l *fakeLog) fail() { l.change(func() { l.failed = errors.New("the disk is broken") }) }

// events returns what is durable.
func (l *fakeLog) events() []gateway.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.durable)
}

// payloads returns the data of what is durable.
func (l *fakeLog) payloads() []string {
	var list []string
	for _, e := range l.events() {
		list = append(list, string(e.Data))
	}
	return list
}

func (l *fakeLog) counts() (waitingEvents, committedBatches, refusals int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.queue {
		waitingEvents += len(b.events)
	}
	return waitingEvents, l.committed, l.refusals
}

// eventually waits until cond is true.
func eventually(t testing.TB, within time.Duration, what string, cond func() bool) {
	t.Helper()
	deadline, tick := time.NewTimer(within), time.NewTicker(time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

// safeBuilder is a strings.Builder for more than one goroutine.
type safeBuilder struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *safeBuilder) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *safeBuilder) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

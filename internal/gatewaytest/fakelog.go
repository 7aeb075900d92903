// Package gatewaytest has fakes of the gateway's contracts, and suites that every implementation of them has to pass.
package gatewaytest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"gateway"
)

// FakeLog is a log in memory. It never trims and never fails, unless it is told to. Safe for concurrent use, also in a synctest bubble.
type FakeLog struct {
	mu      sync.Mutex // guards what follows
	entries []gateway.Entry
	marks   []uint32 // of entries
	cursors map[string]gateway.Offset
	kv      map[string][]byte
	batches []gateway.Batch
	refuse  func(gateway.Batch) error
	boot    gateway.Offset // Status().BootFirst
	skew    time.Duration  // of the clock
	fails   error
	grew    chan struct{} // closed and replaced when entries are added
}

// NewLog makes an empty log.
func NewLog() *FakeLog {
	return &FakeLog{cursors: map[string]gateway.Offset{}, kv: map[string][]byte{}, grew: make(chan struct{})}
}

var _ gateway.Appender = (*FakeLog)(nil)

// Append implements gateway.Appender.
func (l *FakeLog) Append(ctx context.Context, events ...gateway.Event) (last gateway.Offset, err error) {
	err = l.Submit(ctx, gateway.Batch{Events: events}, func(o gateway.Offset, _ error) { last = o })
	return last, err
}

// Reboot makes all entries so far ones of an earlier boot.
func (l *FakeLog) Reboot() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.boot = gateway.Offset(len(l.entries)) + 1
}

// Backdate gives entries from now on a time that is off by d.
func (l *FakeLog) Backdate(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.skew = d
}

// Submit takes b at once, and calls done before it returns; the real log calls it later.
func (l *FakeLog) Submit(ctx context.Context, b gateway.Batch, done func(last gateway.Offset, err error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	last, err := l.take(b)
	if err == nil && done != nil {
		done(last, l.failure())
	}
	return err
}

func (l *FakeLog) take(b gateway.Batch) (last gateway.Offset, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse != nil {
		if err := l.refuse(b); err != nil {
			return 0, err
		}
	}
	now := time.Now().Add(l.skew)
	for i, e := range b.Events {
		last = gateway.Offset(len(l.entries) + 1)
		if e.ID == "" {
			e.ID = gateway.EventID("fake", 1, last)
		}
		if e.Time.IsZero() {
			e.Time = now
		}
		l.entries = append(l.entries, gateway.Entry{Offset: last, Received: now, Event: e})
		mark := uint32(0)
		if i < len(b.Marks) {
			mark = b.Marks[i]
		}
		l.marks = append(l.marks, mark)
	}
	for _, c := range b.Cursors {
		if end := gateway.Offset(len(l.entries)); c.Offset > end {
			return 0, fmt.Errorf("cursor %s to %d: the log ends at %d", c.Name, c.Offset, end)
		}
		l.cursors[c.Name] = c.Offset
	}
	for _, name := range b.Forget {
		delete(l.cursors, name)
	}
	for _, kv := range b.KV {
		if kv.Value == nil {
			delete(l.kv, kv.Key)
			continue
		}
		l.kv[kv.Key] = slices.Clone(kv.Value)
	}
	l.batches = append(l.batches, gateway.Batch{Events: b.Events, Marks: slices.Clone(b.Marks), Cursors: slices.Clone(b.Cursors), KV: slices.Clone(b.KV)})
	if len(b.Events) > 0 {
		close(l.grew)
		l.grew = make(chan struct{})
	}
	return last, nil
}

// RefuseSubmit makes Submit return what refuse returns for a batch, if that is not nil. nil ends it.
func (l *FakeLog) RefuseSubmit(refuse func(gateway.Batch) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse = refuse
}

// FailCommits makes Submit report err through done from now on, as a log does that was stopped by a failed sync.
func (l *FakeLog) FailCommits(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fails = err
}

func (l *FakeLog) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fails
}

// Cursor is the position of the named consumer.
func (l *FakeLog) Cursor(name string) (gateway.Offset, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.cursors[name]
	return at, ok
}

// Scan calls fn with the keys that begin with prefix.
func (l *FakeLog) Scan(prefix string, fn func(key string, value []byte) error) error {
	kv := l.KV()
	for _, key := range slices.Sorted(maps.Keys(kv)) {
		if strings.HasPrefix(key, prefix) {
			if err := fn(key, kv[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

// Status is a snapshot.
func (l *FakeLog) Status() gateway.LogStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := gateway.Offset(len(l.entries))
	return gateway.LogStatus{LogID: "fake", Epoch: 1, First: 1, Last: last, BootFirst: max(l.boot, 1), Appended: uint64(last), Cursors: maps.Clone(l.cursors)}
}

// Recent calls fn with all entries and the marks that they were submitted with, oldest first.
func (l *FakeLog) Recent(fn func(e *gateway.Entry, mark uint32) error) error {
	l.mu.Lock()
	entries, marks := slices.Clone(l.entries), slices.Clone(l.marks)
	l.mu.Unlock()
	for i := range entries {
		if err := fn(&entries[i], marks[i]); err != nil {
			return err
		}
	}
	return nil
}

// KV is a copy of the keys and values.
func (l *FakeLog) KV() map[string][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.kv)
}

// Batches are those that were taken, in their order.
func (l *FakeLog) Batches() []gateway.Batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.batches)
}

// NewReader reads what lies behind after.
func (l *FakeLog) NewReader(after gateway.Offset) gateway.Reader {
	return &fakeReader{log: l, after: after}
}

type fakeReader struct {
	log    *FakeLog
	after  gateway.Offset
	closed bool
}

// Next implements gateway.Reader.
func (r *fakeReader) Next(ctx context.Context, max int) ([]gateway.Entry, error) {
	for {
		if r.closed {
			return nil, gateway.ErrClosed
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		entries, grew := r.log.behind(r.after, max)
		if len(entries) > 0 {
			r.after = entries[len(entries)-1].Offset
			return entries, nil
		}
		select {
		case <-grew:
		case <-ctx.Done():
		}
	}
}

func (l *FakeLog) behind(after gateway.Offset, max int) ([]gateway.Entry, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rest := l.entries[min(int(after), len(l.entries)):]
	return slices.Clone(rest[:min(max, len(rest))]), l.grew
}

// Close implements gateway.Reader.
func (r *fakeReader) Close() error {
	r.closed = true
	return nil
}

// Entries are all events.
func (l *FakeLog) Entries() []gateway.Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries)
}

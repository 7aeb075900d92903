package forwarder

import (
	"context"
	"maps"
	"strings"
	"sync"

	"gateway"
)

// requeue is the dead letters that are to be delivered once more, as a reader of them. Entries of it have the offsets of the letters.
type requeue struct {
	log    Scanner
	prefix string
	poked  chan struct{} // of size one: there may be more

	mu    sync.Mutex                       // guards what follows
	given map[gateway.Offset]*storedLetter // in hand
}

func newRequeue(log Scanner, name string) *requeue {
	return &requeue{log: log, prefix: requeuePrefix + name + "/", poked: make(chan struct{}, 1), given: map[gateway.Offset]*storedLetter{}}
}

// Poke tells a forwarder that runs that its dead letters were requeued or dropped. Safe for concurrent use.
func (f *Forwarder) Poke() {
	// What was submitted so far has to be durable before the log is read: it has no other way to be found.
	err := f.durably(gateway.Batch{KV: []gateway.KeyValue{{Key: requeuePrefix + f.o.Name}}}) // there is none: only its turn counts
	if err == nil {
		err = f.readBook()
	}
	if err != nil {
		f.o.Logger.Warn("the dead letters cannot be counted", "err", err)
	}
	wake(f.requeue.poked)
}

// Next implements gateway.Reader.
func (q *requeue) Next(ctx context.Context, most int) ([]gateway.Entry, error) {
	for {
		entries, err := q.more(most)
		if len(entries) > 0 || err != nil {
			return entries, err
		}
		select {
		case <-q.poked:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (q *requeue) more(most int) (entries []gateway.Entry, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	err = stored(q.log, q.prefix, func(s *storedLetter) error {
		if len(entries) == most {
			return errFound
		}
		if q.given[s.offset] != nil {
			return nil
		}
		letter := s.letter()
		if letter.Event.Source == "" { // it cannot be read: it stays where it is
			return nil
		}
		q.given[s.offset] = s
		entries = append(entries, gateway.Entry{Offset: s.offset, Received: letter.Last, Event: letter.Event})
		return nil
	})
	if err != nil && len(entries) == most {
		err = nil
	}
	return entries, err
}

// Close implements gateway.Reader.
func (q *requeue) Close() error { return nil }

// settled deletes what was dealt with.
func (q *requeue) settled(entries []gateway.Entry) (kv []gateway.KeyValue) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range entries {
		if s := q.given[entries[i].Offset]; s != nil {
			kv = append(kv, removed(s)...)
		}
	}
	return kv
}

// forget says that the letters of entries are deleted: should they die again, they can be requeued again.
func (q *requeue) forget(entries []gateway.Entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range entries {
		delete(q.given, entries[i].Offset)
	}
}

// waiting is how many letters wait, or are in hand.
func (q *requeue) waiting() (n int) {
	_ = q.log.Scan(q.prefix, func(key string, _ []byte) error { // a count for people
		if !strings.Contains(key[len(q.prefix):], "/") {
			n++
		}
		return nil
	})
	return n
}

// redeliver delivers requeued letters until ctx ends. Its error is the log's, and final.
func (f *Forwarder) redeliver(ctx, sending context.Context) error {
	l := f.newJobLane("requeued", &job{
		mark: markBackfill, settled: f.requeue.settled,
		at: func(gateway.Offset) *gateway.KeyValue { return nil }, counted: func(int, int, int, int) {},
	})
	for ctx.Err() == nil {
		entries, err := f.requeue.Next(ctx, letterCount)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			f.unreadable(err, 0)
			pause(ctx, f.o.RetryMax)
			continue
		}
		for rest := entries; len(rest) > 0 && ctx.Err() == nil; {
			n := firstBatch(rest, f.o.BatchSize, f.o.BatchBytes)
			if err := l.deliver(ctx, sending, rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
		if ctx.Err() == nil {
			f.settledRequeue(ctx, entries)
			f.waits(l)
		}
	}
	return nil
}

// settledRequeue waits until the deletions are durable: until then the letters would be found again.
func (f *Forwarder) settledRequeue(ctx context.Context, entries []gateway.Entry) {
	done := make(chan struct{})
	err := f.o.Log.Submit(ctx, gateway.Batch{KV: []gateway.KeyValue{{Key: requeuePrefix + f.o.Name}}}, func(gateway.Offset, error) { close(done) })
	if err != nil {
		return
	}
	select {
	case <-done:
		f.requeue.forget(entries)
	case <-ctx.Done():
	}
}

// withExtension gives e an attribute more. The map of the event that was read may be shared.
func withExtension(e *gateway.Event, name, value string) {
	extensions := maps.Clone(e.Extensions)
	if extensions == nil {
		extensions = map[string]string{}
	}
	extensions[name] = value
	e.Extensions = extensions
}

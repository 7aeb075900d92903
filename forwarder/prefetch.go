package forwarder

import (
	"context"
	"sync"
	"time"

	"gateway"
)

// prefetch reads one batch ahead, so that the sink need not wait for the log. While a batch is sent it gathers what
// comes in, up to max entries and about most bytes.
type prefetch struct {
	reader gateway.Reader
	max    int           // entries
	most   int           // bytes, about
	filled chan struct{} // of size one: entries or an error are there
	taken  chan struct{} // of size one: there is room again

	mu      sync.Mutex // guards what follows
	entries []gateway.Entry
	bytes   int
	err     error
	average int // of an entry of the last read, in bytes
}

func newPrefetch(reader gateway.Reader, max, most int) *prefetch {
	return &prefetch{reader: reader, max: max, most: most, filled: make(chan struct{}, 1), taken: make(chan struct{}, 1), average: 256}
}

// run reads until ctx ends or the reader fails.
func (p *prefetch) run(ctx context.Context) {
	for {
		n := p.room()
		if n <= 0 {
			select {
			case <-p.taken:
				continue
			case <-ctx.Done():
				return
			}
		}
		entries, err := p.reader.Next(ctx, n)
		p.add(entries, err)
		if err != nil {
			return
		}
	}
}

// room is how many entries to read next.
func (p *prefetch) room() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bytes >= p.most {
		return 0
	}
	return min(p.max-len(p.entries), max(1, (p.most-p.bytes)/p.average))
}

func (p *prefetch) add(entries []gateway.Entry, err error) {
	bytes := 0
	for i := range entries {
		bytes += sizeOf(&entries[i])
	}
	p.mu.Lock()
	if len(p.entries) == 0 {
		p.entries = entries
	} else {
		p.entries = append(p.entries, entries...)
	}
	p.bytes += bytes
	p.err = err
	if len(entries) > 0 {
		p.average = max(bytes/len(entries), 1)
	}
	p.mu.Unlock()
	wake(p.filled)
}

// take waits for entries and returns all that are there. It calls waiting once if it has to wait. An error comes after the entries before it.
func (p *prefetch) take(ctx context.Context, waiting func()) ([]gateway.Entry, error) {
	for waits := false; ; {
		entries, err := p.swap()
		if len(entries) > 0 {
			wake(p.taken)
			return entries, nil
		}
		if err != nil {
			return nil, err
		}
		if !waits {
			waits = true
			waiting()
		}
		select {
		case <-p.filled:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// ripen waits until a whole batch is there, or the oldest entry was received linger ago.
func (p *prefetch) ripen(ctx context.Context, linger time.Duration) {
	timer := time.NewTimer(linger)
	defer timer.Stop()
	for begun := false; ; {
		oldest, whole := p.ripeness()
		if whole {
			return
		}
		if !oldest.IsZero() && !begun {
			begun = true
			timer.Reset(max(0, min(linger, linger-time.Since(oldest))))
		}
		var late <-chan time.Time
		if begun {
			late = timer.C
		}
		select {
		case <-p.filled:
		case <-late:
			return
		case <-ctx.Done():
			return
		}
	}
}

// ripeness is when the oldest entry was received, zero without one, and whether there are enough for a batch, or an error.
func (p *prefetch) ripeness() (oldest time.Time, whole bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.entries) > 0 {
		oldest = p.entries[0].Received
	}
	return oldest, len(p.entries) >= p.max || p.bytes >= p.most || p.err != nil
}

func (p *prefetch) swap() ([]gateway.Entry, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	entries := p.entries
	p.entries, p.bytes = nil, 0
	return entries, p.err
}

// oldest is when the first entry that waits here was received, zero if none does.
func (p *prefetch) oldest() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.entries) == 0 {
		return time.Time{}
	}
	return p.entries[0].Received
}

func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

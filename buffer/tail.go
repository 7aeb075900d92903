package buffer

import (
	"context"
	"sort"
	"sync"

	"gateway"
)

const (
	// tailBytes and tailBlocks bound what the tail keeps in memory.
	tailBytes  = 1 << 20
	tailBlocks = 2048
)

// tail is the newest durable blocks, for readers that keep up, and the place where readers wait.
type tail struct {
	mu     sync.Mutex
	blocks []tailBlock // rising, without gaps
	start  int         // of the ones in use in blocks
	bytes  int
	news   chan struct{} // closed at the next push; nil while nobody waits
	closed bool
}

// tailBlock is immutable.
type tailBlock struct {
	first, last gateway.Offset
	block       []byte
}

// push adds a block that became durable, and wakes the readers.
func (t *tail) push(first, last gateway.Offset, block []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.blocks) == cap(t.blocks) && t.start > 0 {
		n := copy(t.blocks, t.blocks[t.start:])
		clear(t.blocks[n:])
		t.blocks, t.start = t.blocks[:n], 0
	}
	t.blocks = append(t.blocks, tailBlock{first, last, block})
	t.bytes += len(block)
	for t.bytes > tailBytes || len(t.blocks)-t.start > tailBlocks {
		t.bytes -= len(t.blocks[t.start].block)
		t.blocks[t.start] = tailBlock{}
		t.start++
	}
	t.tell()
}

// tell wakes the readers. t.mu is held.
func (t *tail) tell() {
	if t.news != nil {
		close(t.news)
		t.news = nil
	}
}

// find returns the block that has offset, nil if the tail does not reach so far.
func (t *tail) find(offset gateway.Offset) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	live := t.blocks[t.start:]
	i := sort.Search(len(live), func(i int) bool { return live[i].last >= offset })
	if i == len(live) || live[i].first > offset {
		return nil
	}
	return live[i].block
}

// wait returns when offset is durable.
func (t *tail) wait(ctx context.Context, durable func() gateway.Offset, offset gateway.Offset) error {
	for {
		t.mu.Lock()
		if t.closed {
			t.mu.Unlock()
			return gateway.ErrClosed
		}
		if durable() >= offset {
			t.mu.Unlock()
			return nil
		}
		if t.news == nil {
			t.news = make(chan struct{})
		}
		news := t.news
		t.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (t *tail) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	t.tell()
}

package mqtt

import (
	"context"
	"net"
	"sync"
	"time"
)

const (
	// flushTime bounds how long the last words to a client may take to be written.
	flushTime = 2 * time.Second
	// keptBuffer is the largest buffer that an outbox keeps while it writes on.
	keptBuffer = 64 << 10
)

// outbox is what waits to be written to a connection. Putting something in never blocks: what the socket takes at once
// is written at once. For the rest a goroutine runs while there is something to write, and what gathers meanwhile goes
// out in one piece.
type outbox struct {
	raw   net.Conn
	try   *directWriter // nil where a write cannot be tried, as with TLS
	peer  *peerView     // nil for what is not TCP; used under mu
	spare *sync.Pool    // of *[]byte
	base  int           // the limit in ordinary times
	fail  func(error)   // called when a write fails

	mu      sync.Mutex
	waiting *[]byte // nil or not empty; guarded by mu
	writing int     // bytes in the write under way; guarded by mu
	running bool    // a goroutine writes; guarded by mu
	closed  bool    // nothing more is taken; guarded by mu
	limit   int     // of bytes waiting and being written; guarded by mu
	// The output is counted in bytes, before TLS.
	taken     int64         // guarded by mu
	wrote     int64         // of that, to the socket; guarded by mu
	lastWrite int64         // where the newest write of the goroutine begins; guarded by mu
	idle      chan struct{} // closed, if not nil, when nothing is left to write; guarded by mu
	low       chan struct{} // closed, if not nil, when no more than base is left; guarded by mu
	flow      *flow         // nil where the client has no Receive Maximum; guarded by mu
}

// put takes p and says false if that is more than may wait. start is where p stands in the output, -1 if it was not taken.
func (o *outbox) put(p []byte) (start int64, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	start, size := o.taken, int64(len(p))
	if ok = o.putLocked(p); o.taken-start < size {
		start = -1
	}
	return start, ok
}

func (o *outbox) putLocked(p []byte) bool {
	if o.closed || len(p) == 0 {
		return true
	}
	if o.backlog()+len(p) > o.limit {
		return false
	}
	o.taken += int64(len(p))
	// Here alone something is written under the lock. It may be: the write does not wait, whatever the client does, so mu,
	// and s.mu of those who send acknowledgements, are held for one system call. Only under mu is it known that no
	// goroutine writes and nothing waits, which this must not overtake. A socket that takes nothing gets a goroutine.
	if !o.running && o.try != nil {
		n := o.try.write(p)
		o.wrote += int64(n)
		if p = p[n:]; len(p) == 0 {
			return true
		}
	}
	if o.waiting == nil {
		buf, ok := o.spare.Get().(*[]byte)
		if !ok {
			buf = new([]byte)
		}
		o.waiting = buf
	}
	*o.waiting = append(*o.waiting, p...)
	if !o.running {
		o.running = true
		go o.write()
	}
	return true
}

func (o *outbox) backlog() int {
	n := o.writing
	if o.waiting != nil {
		n += len(*o.waiting)
	}
	if o.flow != nil {
		n += o.flow.bytes
	}
	return n
}

// write writes until nothing waits. An error ends the taking; the reader will see the same error.
func (o *outbox) write() {
	for {
		o.mu.Lock()
		buf := o.waiting
		o.waiting = nil
		if buf == nil {
			o.running, o.writing = false, 0
			o.signalLow()
			if o.idle != nil {
				close(o.idle)
				o.idle = nil
			}
			o.mu.Unlock()
			return
		}
		o.writing, o.lastWrite = len(*buf), o.wrote
		o.signalLow()
		o.mu.Unlock()
		n, err := o.raw.Write(*buf)
		if err != nil {
			o.discard()
			o.fail(err)
		}
		o.count(n)
		if cap(*buf) <= keptBuffer {
			*buf = (*buf)[:0]
			o.spare.Put(buf)
		}
	}
}

func (o *outbox) count(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wrote += int64(n)
}

func (o *outbox) signalLow() {
	if o.low != nil && o.backlog() <= o.base {
		close(o.low)
		o.low = nil
	}
}

// awaitLow waits until no more than base is left, which then is the limit again.
func (o *outbox) awaitLow(ctx context.Context) error {
	for {
		o.mu.Lock()
		if o.backlog() <= o.base {
			o.limit = 2 * o.base // what is left, and as much again
			o.mu.Unlock()
			return nil
		}
		if o.low == nil {
			o.low = make(chan struct{})
		}
		low := o.low
		o.mu.Unlock()
		select {
		case <-low:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// allow lets n more bytes in, until the next awaitLow.
func (o *outbox) allow(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.limit += n
}

// allowBacklog lets base in besides what is there.
func (o *outbox) allowBacklog() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.limit = o.base + o.backlog()
}

// discard ends the taking and forgets what waits.
func (o *outbox) discard() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed, o.waiting = true, nil
	if o.flow != nil {
		o.flow.forget()
	}
}

// drain ends the taking and returns when all is written, or cannot be within flushTime.
func (o *outbox) drain() {
	o.mu.Lock()
	o.closed = true
	if !o.running {
		o.mu.Unlock()
		return
	}
	idle := make(chan struct{})
	o.idle = idle
	o.mu.Unlock()
	if err := o.raw.SetWriteDeadline(time.Now().Add(flushTime)); err != nil {
		o.discard() // closed: the write under way ends with an error
	}
	<-idle
}

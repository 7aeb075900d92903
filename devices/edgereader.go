package devices

import (
	"context"

	"gateway/devices/gpiochip"
)

const (
	// edgeBatch is how many edges are read from the kernel, and how many go into one append, at most.
	edgeBatch = 256
	// edgeQueue is how many edges may wait for the log before the reader stops reading, and leaves them to the kernel.
	edgeQueue = 4096
)

// edgeReader reads the edges of a line, in a goroutine of its own, so that a slow log does not make the kernel lose any.
type edgeReader struct {
	// queue is closed by the reader when the line fails or its context ends; err is why, and left what was read and did not fit any more.
	queue chan gpiochip.Event
	left  []gpiochip.Event
	err   error
	stop  context.CancelFunc // ends it
}

// readEdges begins to read; queue is how many edges may wait. Its goroutine has ended when the queue is closed.
func readEdges(ctx context.Context, l line, queue int) *edgeReader {
	ctx, cancel := context.WithCancel(ctx)
	r := &edgeReader{queue: make(chan gpiochip.Event, queue), stop: cancel}
	go r.run(ctx, l)
	return r
}

func (r *edgeReader) run(ctx context.Context, l line) {
	defer close(r.queue)
	buf := make([]gpiochip.Event, edgeBatch)
	for {
		n, err := l.Events(ctx, buf)
		if err != nil {
			r.err = err
			return
		}
		for i, e := range buf[:n] {
			select {
			case r.queue <- e:
			case <-ctx.Done():
				r.left, r.err = buf[i:n], ctx.Err()
				return
			}
		}
	}
}

// more adds to batch what waits, up to edgeBatch. It returns false if there is nothing more to come.
func (r *edgeReader) more(batch []gpiochip.Event) ([]gpiochip.Event, bool) {
	for len(batch) < edgeBatch {
		select {
		case e, ok := <-r.queue:
			if !ok {
				return append(batch, r.left...), false
			}
			batch = append(batch, e)
		default:
			return batch, true
		}
	}
	return batch, true
}

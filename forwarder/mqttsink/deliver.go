package mqttsink

import (
	"fmt"
	"time"

	"gateway"
)

const (
	// writeSize is about how much is written to the connection at once.
	writeSize = 16 << 10
	// keepBuffer is the largest buffer that is kept from one Send to the next.
	keepBuffer = 256 << 10
)

// delivery is one Send.
type delivery struct {
	sink   *Sink
	way    *way
	link   *link
	window *window
	batch  []gateway.Entry
	next   int     // of batch, to be encoded
	first  uint64  // the number, in the window, of the first publish of this delivery
	sent   []int32 // sent[i] is the place in batch of publish first+i
	errs   []error // nil while no event has one, else as long as batch
}

// run publishes the batch and waits for its acknowledgements. It returns why the connection ended before them.
func (d *delivery) run() error {
	d.sent = d.way.sent[:0]
	defer func() { d.way.sent = d.sent }()
	d.first, _ = d.window.free()
	timer := time.NewTimer(d.sink.o.AckTimeout)
	defer timer.Stop()
	for d.next < len(d.batch) {
		more, err := d.write()
		if err != nil {
			return err
		}
		if more {
			continue
		}
		// Room for half a window is worth a write; less would be a system call for each acknowledgement.
		if err := d.await(len(d.window.acked)/2, timer); err != nil {
			return err
		}
	}
	return d.await(0, timer)
}

// write publishes what fits into the window and one write. more: there may be room for another.
func (d *delivery) write() (more bool, err error) {
	s, w := d.sink, d.window
	number, room := w.free()
	buf, published := d.way.buf[:0], 0
	for ; d.next < len(d.batch) && published < room && len(buf) < writeSize; d.next++ {
		longer, err := s.encoder.append(buf, &d.batch[d.next].Event, w.packetID(number+uint64(published)))
		if err != nil {
			d.fail(d.next, err)
			continue
		}
		buf = longer
		d.sent = append(d.sent, int32(d.next))
		published++
	}
	if d.way.buf = buf; cap(buf) > keepBuffer {
		d.way.buf = nil
	}
	if published == 0 {
		return room > 0, nil
	}
	w.published(published, time.Now())
	return published < room, d.link.publish(buf, s.o.AckTimeout)
}

// publish writes whole packets. Beside the library's writes no lock is needed, as a connection takes one write at a time; but for the
// deadline of the other way's.
func (l *link) publish(packets []byte, timeout time.Duration) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	err := l.SetWriteDeadline(time.Now().Add(timeout))
	if err == nil {
		_, err = l.Conn.Write(packets)
	}
	if err == nil {
		err = l.SetWriteDeadline(time.Time{}) // the library's pings have no deadline
	}
	if err != nil {
		l.fail(fmt.Errorf("write to the broker: %w", err))
		return l.cause
	}
	return nil
}

// await waits until no more than target publishes are unacknowledged, or the connection is dead.
func (d *delivery) await(target int, timer *time.Timer) error {
	timeout := d.sink.o.AckTimeout
	for !d.window.reached(target) {
		select {
		case <-d.window.wake:
		case <-d.link.lost:
			return d.link.cause
		case <-timer.C:
			idle := d.window.idle(time.Now())
			if idle >= timeout {
				d.link.fail(silentError(timeout))
				return d.link.cause
			}
			timer.Reset(timeout - idle)
		}
	}
	return nil
}

func (d *delivery) fail(place int, err error) {
	if d.errs == nil {
		d.errs = make([]error, len(d.batch))
	}
	d.errs[place] = err
}

// result is what Send returns, when run returned cause.
func (d *delivery) result(cause error) error {
	if cause != nil {
		cause = classify(fmt.Errorf("publish to %s: %w", d.sink.endpoint.address, cause))
		if d.spread(cause) == len(d.batch) {
			return cause
		}
	}
	if d.errs == nil {
		return nil
	}
	return &gateway.BatchError{Errors: d.errs}
}

// spread gives cause to each event that was not acknowledged and has no error of its own, and returns to how many.
func (d *delivery) spread(cause error) (n int) {
	acked := d.window.close()
	delivered := make([]bool, len(d.batch))
	for i, place := range d.sent {
		delivered[place] = acked(d.first + uint64(i))
	}
	for place := range d.batch {
		if delivered[place] || d.errs != nil && d.errs[place] != nil {
			continue
		}
		d.fail(place, cause)
		n++
	}
	return n
}

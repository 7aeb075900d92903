package writelog

import (
	"fmt"
	"io"
	"math/rand/v2"
)

// Block is the unit in which an unflushed write may be torn: the page that flash and ext4 work with.
const Block = 4096

// Disk follows a write log. Its image has every write that was durable at the position it was moved to, and no other:
// the first is what it was when the log began. It belongs to one goroutine.
type Disk struct {
	log     io.ReaderAt
	entries []Entry
	image   io.WriterAt
	next    int // entries before it were looked at
}

// NewDisk returns the disk whose image is as it was before the first entry.
func NewDisk(log io.ReaderAt, entries []Entry, image io.WriterAt) *Disk {
	return &Disk{log: log, entries: entries, image: image}
}

// MoveTo writes to the image what a flush before position n covers: n is how many entries had been issued when the power
// went. It moves forward only. The rig keeps one request in flight at a time, so that whatever stands before a flush in the log was complete
// when the flush was issued.
func (d *Disk) MoveTo(n int) error {
	last := d.lastFlush(n)
	if n < d.next || n > len(d.entries) {
		return fmt.Errorf("rebuild disk: position %d is not between %d and %d", n, d.next, len(d.entries))
	}
	for ; d.next < last; d.next++ {
		if err := d.write(d.image, d.entries[d.next], 0, d.entries[d.next].Len); err != nil {
			return err
		}
	}
	return nil
}

// lastFlush is the newest flush before position n, or where the disk is if there is none.
func (d *Disk) lastFlush(n int) int {
	for i := min(n, len(d.entries)) - 1; i > d.next; i-- {
		if d.entries[i].Flags&Flush != 0 {
			return i
		}
	}
	return d.next
}

// Unflushed is how many writes before position n a power cut there may lose, n being where the disk was moved to.
func (d *Disk) Unflushed(n int) int {
	lost := 0
	for _, e := range d.entries[d.next:n] {
		if e.writes() && e.Flags&FUA == 0 {
			lost++
		}
	}
	return lost
}

// Finish writes to image, a copy of the disk's, what else survives a cut at position n, to which the disk was moved: the
// writes with FUA. With rng also a random part of the unflushed ones: each is dropped, kept, or kept in some of its blocks.
func (d *Disk) Finish(image io.WriterAt, n int, rng *rand.Rand) error {
	for _, e := range d.entries[d.next:n] {
		var err error
		switch {
		case e.Flags&FUA != 0:
			err = d.write(image, e, 0, e.Len)
		case rng != nil:
			err = d.gamble(image, e, rng)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Complete writes everything that the image lacks, flushed or not: the disk as the log's last entry left it.
func (d *Disk) Complete() error {
	for ; d.next < len(d.entries); d.next++ {
		if err := d.write(d.image, d.entries[d.next], 0, d.entries[d.next].Len); err != nil {
			return err
		}
	}
	return nil
}

// gamble writes all, some or nothing of an unflushed entry.
func (d *Disk) gamble(image io.WriterAt, e Entry, rng *rand.Rand) error {
	fate := rng.IntN(3)
	if fate == 0 {
		return nil
	}
	start := int64(e.Sector) * SectorSize
	for from := int64(0); from < e.Len; {
		to := min(e.Len, (start+from)/Block*Block+Block-start)
		if fate == 1 || rng.IntN(2) == 0 {
			if err := d.write(image, e, from, to); err != nil {
				return err
			}
		}
		from = to
	}
	return nil
}

// write copies the bytes [from, to) of an entry's data to their place.
func (d *Disk) write(image io.WriterAt, e Entry, from, to int64) error {
	if !e.writes() {
		return nil
	}
	data := make([]byte, to-from)
	if _, err := d.log.ReadAt(data, e.At+from); err != nil {
		return fmt.Errorf("read write log at %d: %w", e.At+from, err)
	}
	if _, err := image.WriteAt(data, int64(e.Sector)*SectorSize+from); err != nil {
		return fmt.Errorf("rebuild disk: %w", err)
	}
	return nil
}

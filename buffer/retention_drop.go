package buffer

import (
	"errors"
	"math"

	"github.com/dgraph-io/badger/v4"

	"gateway"
)

// dropper takes dead blocks off the disk: those that are behind the head and were not deleted by their keys. It belongs to the
// housekeeper.
type dropper struct {
	from gateway.Offset // what is before is gone; 0: unknown
	dead uint64         // usage.dead when it last dropped
}

// run drops what is dead, with the tables that it fills. to is the durable head.
func (d *dropper) run(e *engine, to gateway.Offset, dead uint64) error {
	if d.from == 0 {
		from, err := e.firstBlock()
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		d.from = max(from, 1)
	}
	prefixes, upTo := coverBlocks(d.from, to)
	if len(prefixes) > 0 {
		if err := e.drop(prefixes); err != nil {
			return err
		}
	}
	d.from, d.dead = upTo, dead
	return nil
}

// coverBlocks returns prefixes of block keys that together are the offsets from (about) from up to without upTo, which is at
// most to. To need few of them it leaves up to an eighth of the offsets for the next time. What is before from may be covered too.
func coverBlocks(from, to gateway.Offset) (prefixes [][]byte, upTo gateway.Offset) {
	if to <= from {
		return nil, from
	}
	unit, digits := gateway.Offset(1), 8 // an offset has 8 digits of 256 in its key
	for unit*256 <= (to-from)/8 {
		unit, digits = unit*256, digits-1
	}
	upTo = to / unit * unit
	for at := from / unit * unit; at < upTo; {
		step, n := unit, digits
		for step <= math.MaxUint64/256 && at%(step*256) == 0 && at+step*256 <= upTo {
			step, n = step*256, n-1
		}
		prefixes = append(prefixes, blockKey(at)[:len(prefixBlock)+n])
		at += step
	}
	return prefixes, upTo
}

// drop takes all keys that begin with one of the prefixes off the disk. Tables that have nothing else are removed and not
// rewritten. Nobody reads or writes meanwhile.
func (e *engine) drop(prefixes [][]byte) error {
	e.use.Lock()
	defer e.use.Unlock()
	if e.closed {
		return gateway.ErrClosed
	}
	return e.db.DropPrefix(prefixes...)
}

// firstBlock is the offset of the oldest block that the store has, behind the head or not.
func (e *engine) firstBlock() (gateway.Offset, error) {
	refs, err := e.blocksFrom(0, nil, 1)
	if err != nil {
		return 0, err
	}
	if len(refs) == 0 {
		return 0, ErrNotFound
	}
	return refs[0].first, nil
}

// newestBlocks returns up to max of the blocks that begin at or after first, newest first.
func (e *engine) newestBlocks(first gateway.Offset, max int) ([]blockRef, error) {
	refs := make([]blockRef, 0, max)
	err := e.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte(prefixBlock), Reverse: true})
		defer it.Close()
		for it.Seek(blockKey(math.MaxUint64)); it.Valid() && len(refs) < max; it.Next() {
			at := blockOffset(it.Item().Key())
			if at < first {
				break
			}
			refs = append(refs, blockRef{at, int(it.Item().ValueSize())})
		}
		return nil
	})
	return refs, err
}

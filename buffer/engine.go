package buffer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"

	"gateway"
)

// Keys of the store. Blocks sort before the rest, so that a table of new blocks overlaps few old tables.
const (
	prefixBlock  = "b" // and the first offset, 8 bytes big-endian
	prefixCursor = "c/"
	prefixKey    = "k/"
	prefixMeta   = "m/"
	// prefixNudge is for reclaim, which needs a key that it can drop.
	prefixNudge = "z/"
)

func blockKey(first gateway.Offset) []byte {
	return binary.BigEndian.AppendUint64([]byte(prefixBlock), uint64(first))
}

func isBlockKey(key []byte) bool { return len(key) > 0 && key[0] == prefixBlock[0] }

func blockOffset(key []byte) gateway.Offset {
	return gateway.Offset(binary.BigEndian.Uint64(key[len(prefixBlock):]))
}

// engine is the key-value store. It runs in Badger's managed mode: we number the transactions, so that reads
// need not wait for the commit that is under way.
type engine struct {
	dir      string
	valueDir string
	maxValue int // a longer value would go to the value log, which is not durable
	// use is held for reading while the store is used, for writing while it is closed or rebuilt under the readers.
	use    sync.RWMutex
	closed bool
	db     *badger.DB
	writer sync.Mutex    // held for one transaction
	stamp  atomic.Uint64 // of the newest durable transaction
}

// write is one change in a transaction; a nil value deletes.
type write struct{ key, value []byte }

// openEngine opens the store in dir, which exists.
func openEngine(dir string, g geometry, log *slog.Logger) (*engine, error) {
	return openEngineWith(engineOptions(dir, g, log), g)
}

// openPicture opens a store whose tables belong to somebody else: it merges none of them, because the engine empties the file of a
// table that was merged away before it removes the name, whatever else bears on it.
func openPicture(dir string, g geometry, log *slog.Logger) (*engine, error) {
	o := engineOptions(dir, g, log).WithNumCompactors(0).WithCompactL0OnClose(false)
	return openEngineWith(o.WithNumLevelZeroTablesStall(1<<20), g)
}

func openEngineWith(o badger.Options, g geometry) (*engine, error) {
	dir := o.Dir
	if err := checkGeometry(g, intSize); err != nil {
		return nil, err
	}
	if err := removeEmptyWALs(dir); err != nil {
		return nil, err
	}
	o.ValueDir = valueLogDir(dir)
	db, err := openBadger(o)
	if err != nil && o.ValueDir != dir {
		o.ValueDir = dir
		db, err = openBadger(o)
	}
	if err != nil {
		return nil, err
	}
	if db, err = mergeNewTables(db, o); err != nil {
		return nil, err
	}
	e := &engine{dir: dir, valueDir: o.ValueDir, db: db, maxValue: int(o.ValueThreshold) - 1}
	e.stamp.Store(db.MaxVersion())
	db.SetDiscardTs(e.stamp.Load())
	return e, nil
}

// mergeNewTables brings their number down to what the engine may hold (see levelZeroStall), before the compactors wake up
// and do it the other way: closing merges some of them.
func mergeNewTables(db *badger.DB, o badger.Options) (*badger.DB, error) {
	for newTables(db) > o.NumLevelZeroTablesStall {
		before := newTables(db)
		if err := db.Close(); err != nil {
			return nil, err
		}
		var err error
		if db, err = openBadger(o); err != nil {
			return nil, err
		}
		if newTables(db) >= before {
			return nil, errors.Join(errors.New("engine: new tables cannot be merged"), db.Close())
		}
	}
	return db, nil
}

// openBadger turns the panics with which Badger meets some damage into errors.
func openBadger(o badger.Options) (db *badger.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			db, err = nil, fmt.Errorf("the storage engine cannot read %s: %v: copy the directory before anything else", o.Dir, r)
		}
	}()
	return badger.OpenManaged(o)
}

// newTables counts the tables of level 0.
func newTables(db *badger.DB) int {
	n := 0
	for _, t := range db.Tables() {
		if t.Level == 0 {
			n++
		}
	}
	return n
}

// commit makes the writes durable together: it returns after the sync.
func (e *engine) commit(writes []write) error {
	e.use.RLock()
	defer e.use.RUnlock()
	e.writer.Lock()
	defer e.writer.Unlock()
	if e.closed {
		return gateway.ErrClosed
	}
	return contained(func() error { return e.transact(writes) })
}

// transact is commit. e.writer is held.
func (e *engine) transact(writes []write) error {
	txn := e.db.NewTransactionAt(math.MaxUint64, true)
	defer txn.Discard()
	stamp := e.stamp.Load() + 1
	for _, w := range writes {
		if err := e.set(txn, stamp, w); err != nil {
			return err
		}
	}
	if err := txn.CommitAt(stamp, nil); err != nil { // syncs: SyncWrites
		return err
	}
	e.stamp.Store(stamp)
	e.db.SetDiscardTs(stamp)
	return nil
}

func (e *engine) set(txn *badger.Txn, stamp uint64, w write) error {
	if w.value == nil {
		return txn.Delete(w.key)
	}
	value := w.value
	if !isBlockKey(w.key) {
		size := recordOverhead + len(w.key) + len(value)
		value = appendRecord(make([]byte, 0, size), stamp, w.key, value)
	}
	if len(value) > e.maxValue {
		return fmt.Errorf("engine: a value of %d bytes, the most is %d", len(value), e.maxValue)
	}
	return txn.Set(w.key, value)
}

// view runs fn in a transaction that sees what is durable.
func (e *engine) view(fn func(txn *badger.Txn) error) error {
	e.use.RLock()
	defer e.use.RUnlock()
	if e.closed {
		return gateway.ErrClosed
	}
	txn := e.db.NewTransactionAt(e.stamp.Load(), false)
	defer txn.Discard()
	return contained(func() error { return fn(txn) })
}

// errEngine is what the engine's panics become: it has them for tables that are damaged.
var errEngine = errors.New("the storage engine cannot read its files")

// contained turns a panic of fn into an error that wraps errEngine.
func contained(fn func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errEngine, r)
		}
	}()
	return fn()
}

// get gives the value of key to fn, which must not keep it; ErrNotFound if there is none.
func (e *engine) get(key []byte, fn func(value []byte) error) error {
	return e.view(func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) error {
			if isBlockKey(key) {
				return fn(v)
			}
			v, err := recordValue(key, v)
			if err != nil {
				return err
			}
			return fn(v)
		})
	})
}

// blockBefore gives the block that begins at or before offset to fn: the newest of them. ErrNotFound if there is none.
func (e *engine) blockBefore(offset gateway.Offset, fn func(first gateway.Offset, value []byte) error) error {
	return e.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte(prefixBlock), Reverse: true})
		defer it.Close()
		it.Seek(blockKey(offset))
		if !it.Valid() {
			return ErrNotFound
		}
		item := it.Item()
		first := blockOffset(item.Key())
		return item.Value(func(v []byte) error { return fn(first, v) })
	})
}

// eachBlock gives every block that begins at or after offset to fn, in order.
func (e *engine) eachBlock(offset gateway.Offset, fn func(first gateway.Offset, block []byte) error) error {
	return e.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte(prefixBlock)})
		defer it.Close()
		for it.Seek(blockKey(offset)); it.Valid(); it.Next() {
			first := blockOffset(it.Item().Key())
			if err := it.Item().Value(func(v []byte) error { return fn(first, v) }); err != nil {
				return err
			}
		}
		return nil
	})
}

// recordStamp is the number of the transaction that wrote the record of key.
func (e *engine) recordStamp(key []byte) (stamp uint64, err error) {
	err = e.view(func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) error {
			r, err := parseRecord(v)
			if err != nil {
				return &RecordError{Key: string(key), Err: err}
			}
			stamp = r.stamp
			return nil
		})
	})
	return stamp, err
}

// blockRef is a block without its content.
type blockRef struct {
	first gateway.Offset
	size  int
}

// blocksFrom appends up to max blocks that begin at or after offset to refs. It reads keys only.
func (e *engine) blocksFrom(offset gateway.Offset, refs []blockRef, max int) ([]blockRef, error) {
	err := e.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte(prefixBlock)})
		defer it.Close()
		for it.Seek(blockKey(offset)); it.Valid() && max > 0; it.Next() {
			refs = append(refs, blockRef{blockOffset(it.Item().Key()), int(it.Item().ValueSize())})
			max--
		}
		return nil
	})
	return refs, err
}

// pair is a key, without its prefix, and a copy of its value.
type pair struct {
	key   string
	value []byte
}

// page returns up to max pairs whose keys begin with prefix and come after prefix+after, in order. Not for blocks.
func (e *engine) page(prefix, after string, max int) ([]pair, error) {
	var pairs []pair
	err := e.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte(prefix)})
		defer it.Close()
		from := []byte(prefix + after)
		for it.Seek(from); it.Valid() && len(pairs) < max; it.Next() {
			key := string(it.Item().Key()[len(prefix):])
			if after != "" && key == after {
				continue
			}
			stored, err := it.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			value, err := recordValue(it.Item().Key(), stored)
			if err != nil {
				return err
			}
			pairs = append(pairs, pair{key, value})
		}
		return nil
	})
	return pairs, err
}

// each calls fn with every key that begins with prefix, without it, and its value, in order. fn may use the engine.
func (e *engine) each(prefix string, fn func(key string, value []byte) error) error {
	const page = 64
	for after := ""; ; {
		pairs, err := e.page(prefix, after, page)
		if err != nil {
			return err
		}
		for _, p := range pairs {
			if err := fn(p.key, p.value); err != nil {
				return err
			}
			after = p.key
		}
		if len(pairs) < page {
			return nil
		}
	}
}

// reclaim has the deletes that are still in memory written to tables, and merges tables until the blocks that were
// deleted are gone from the disk. It writes about what the upper levels have, some tens of MiB. Nobody reads or
// writes during the first part.
func (e *engine) reclaim() error {
	if err := e.commit([]write{{[]byte(prefixNudge), []byte{1}}}); err != nil {
		return err
	}
	if err := e.flush(); err != nil {
		return err
	}
	e.use.RLock()
	defer e.use.RUnlock()
	if e.closed {
		return gateway.ErrClosed
	}
	return e.db.Flatten(1)
}

// flush writes out the memtable, for which Badger has no call: dropping a key does it first.
func (e *engine) flush() error {
	e.use.Lock()
	defer e.use.Unlock()
	if e.closed {
		return gateway.ErrClosed
	}
	return e.db.DropPrefix([]byte(prefixNudge))
}

// closePatience is how long the engine may take to close: at the end it writes out what it has in memory, and where the disk
// refuses that, it tries for ever. Its log files have it all, so nothing is lost by going without.
const (
	closePatience       = time.Minute
	closePatienceFailed = 2 * time.Second // after a write failed
)

// close waits for readers, and closes the store, or leaves it be when patience is over. Calling it twice is fine.
func (e *engine) close(patience time.Duration) error {
	e.use.Lock()
	defer e.use.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	if err := keepValueLog(e.valueDir); err != nil {
		return err
	}
	closed := make(chan error, 1)
	go func() { closed <- e.db.Close() }()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case err := <-closed:
		dropValueLog(e.valueDir, e.dir)
		return err
	case <-limit.C:
		return fmt.Errorf("the storage engine in %s did not close in %s: its disk does not take what is written; the next start finds everything in its log files", e.dir, patience)
	}
}

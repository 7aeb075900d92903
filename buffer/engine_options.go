package buffer

import (
	"fmt"
	"log/slog"
	"math/bits"
	"strconv"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// The sizes of the engine, chosen by measurement for a small computer.
const (
	// groupBound is the most that one group takes before it is compressed, all in all, and so the most that one event or
	// one batch may have. A block is never larger (what does not compress is stored as it is).
	groupBound = 384 << 10
	// engineBlock is the unit of the engine's tables. Larger than any value, so that its table builder never has to
	// enlarge a unit: it would take three times the memory of the value, see checkGeometry.
	engineBlock = groupBound + 16<<10
	// maxKeys bounds the keys and cursors set in one transaction, maxDeletes the blocks deleted in one that does
	// something else, and maxDeletesAlone in one that does not.
	maxKeys         = 1024
	maxDeletes      = 512
	maxDeletesAlone = 2048

	// levelZeroStall is how many new tables the engine holds before it stalls writes. Four would allow it to merge them
	// among themselves into one table with a builder of 256 MiB, which on 32 bits also corrupts them.
	levelZeroStall = 3
)

// geometry is what decides about the engine's memory and, on 32 bits, about its correctness.
type geometry struct {
	memTable, table, block, level int64
}

// engineGeometry is for an int of intSize bits.
func engineGeometry(intSize int) geometry {
	if intSize == 32 {
		return geometry{memTable: 3 << 20, table: 6 << 20, block: engineBlock, level: 12 << 20}
	}
	return geometry{memTable: 3 << 20, table: 2 << 20, block: engineBlock, level: 8 << 20}
}

// checkGeometry refuses sizes with which Badger v4.9.6 corrupts tables on 32-bit builds. Its table builder allocates
// from buffers, the first of which has twice the table size, rounded up to a power of two; on 32 bits the second buffer
// overwrites the first (ristretto z/allocator.go: uint64((bufIdx+1)<<32) is 0 there). So what can enter one
// builder must fit into the first buffer: a unit is allocated whole, and two neighbours together are fuller than one,
// so content needs at most twice its size, as long as no value is larger than a unit.
func checkGeometry(g geometry, intSize int) error {
	batch := g.memTable * 15 / 100
	if g.block < groupBound+headerSize+1<<10 {
		return fmt.Errorf("engine: the table unit of %d bytes is smaller than a block of %d", g.block, groupBound)
	}
	if batch < groupBound+groupBound/8 {
		return fmt.Errorf("engine: a transaction of %d bytes, 15%% of the memtable, does not hold a block of %d", batch, groupBound)
	}
	if intSize != 32 {
		return nil
	}
	if g.table < 2*g.memTable {
		return fmt.Errorf("engine: on 32 bits the table size %d must be at least twice the memtable size %d", g.table, g.memTable)
	}
	first := int64(1) << bits.Len64(uint64(2*g.table-1))
	flushed := 2*(g.memTable+batch) + 2*g.block
	compacted := 2*(g.table+g.block) + 2*g.block
	if worst := max(flushed, compacted); worst > first {
		return fmt.Errorf("engine: on 32 bits a table builder may need %d bytes, its first buffer has %d", worst, first)
	}
	return nil
}

// engineOptions are Badger's. Each that differs from its default:
//   - SyncWrites: a commit returns after msync of the write-ahead log; it is what an acknowledgement rests on.
//   - BypassLockGuard: the data directory has a lock of its own.
//   - ValueThreshold: every block stays in the LSM tree. The value log takes two to seventy times the flash writes.
//   - no compression and no cache: a block is compressed already and read once.
//   - NumMemtables 1 and NumLevelZeroTables 2: memory; levelZeroStall says the rest.
//   - TableSizeMultiplier 1: builders of one size, whatever the level.
//   - CompactL0OnClose: a start never finds more than levelZeroStall new tables.
//   - ValueLogFileSize: mapped twice, and unused; small for 32-bit address spaces.
func engineOptions(dir string, g geometry, log *slog.Logger) badger.Options {
	o := badger.DefaultOptions(dir).
		WithSyncWrites(true).
		WithBypassLockGuard(true).
		WithLogger(engineLog{log}).
		WithMetricsEnabled(false).
		WithDetectConflicts(false).
		WithCompression(options.None).
		WithBlockCacheSize(0).
		WithIndexCacheSize(0).
		WithBlockSize(int(g.block)).
		WithMemTableSize(g.memTable).
		WithValueThreshold(g.memTable * 15 / 100).
		WithNumMemtables(1).
		WithNumLevelZeroTables(2).
		WithNumLevelZeroTablesStall(levelZeroStall).
		WithNumCompactors(2).
		WithBaseTableSize(g.table).
		WithBaseLevelSize(g.level).
		WithCompactL0OnClose(true).
		WithValueLogFileSize(8 << 20)
	o.TableSizeMultiplier = 1
	return o
}

const intSize = strconv.IntSize

package buffer

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gateway"
)

const (
	// DefaultMaxSize is the bound of the log on disk where the user gives none: 1 GiB.
	DefaultMaxSize int64 = 1 << 30
	// MinMaxSize is the smallest bound: below it the engine's own files leave no room.
	MinMaxSize int64 = 64 << 20
	// DefaultReserve is what is left of the file system where the user says nothing: 64 MiB. A full disk kills the process,
	// because the engine writes through memory maps, also while it merges tables to give space back.
	DefaultReserve int64 = 64 << 20
	// DefaultMaxEventSize holds an MQTT packet of 256 KiB and the attributes that the gateway adds.
	DefaultMaxEventSize = 320 << 10
	// maxMaxSize32 is what a 32-bit process can map.
	maxMaxSize32 int64 = 1 << 30
)

// Options say where and how large a log is.
type Options struct {
	// Dir is the data directory, made with mode 0700 if it is missing. One process has it at a time.
	Dir string
	// MaxSize bounds what Dir takes on disk, in bytes, with all that the engine needs; 0 means DefaultMaxSize.
	MaxSize int64
	// CommitInterval is the least time between two commits. 0: each commit follows the one before. Larger values wear
	// the flash less and delay acknowledgements.
	CommitInterval time.Duration
	// MaxEventSize bounds an encoded event, in bytes: data and attributes. 0 means DefaultMaxEventSize, which is near the most that is possible.
	MaxEventSize int
	// MaxAge is how old an event may get before it is dropped, delivered or not, by a clock that is synchronised; 0: any age.
	MaxAge time.Duration
	// KeepDelivered is for how long events are kept, for replay, after every consumer is past them, as far as MaxSize
	// allows; 0: not at all.
	KeepDelivered time.Duration
	// DropOldest says what happens at MaxSize: the oldest events make room, though a consumer is owed them, with a gap for
	// each consumer. Otherwise appends are refused with gateway.ErrFull.
	DropOldest bool
	// Reserve is what the file system must have left, in bytes; with less nothing is appended. 0 means DefaultReserve.
	Reserve int64
	// Endurance is how many bytes the card can take in its life, for gateway.WearStatus; 0: unknown.
	Endurance int64
	// NoRepair has Open return a *DamageError where it would repair.
	NoRepair bool
	// ReadOnly opens a picture of the log as it is now, of a directory that no other process has: nothing in Dir changes, nothing
	// expires, and nothing is appended (gateway.ErrClosed). It implies NoRepair.
	ReadOnly bool
	// Source is the source of the events that the log itself makes; "" means "gateway".
	Source string
	// Logger takes what a person must know; nil discards it.
	Logger *slog.Logger

	// hooks are for tests.
	hooks hooks
}

// hooks let tests delay and fail what a disk does.
type hooks struct {
	// beforeCommit is called by the writer before each transaction; its error fails the transaction.
	beforeCommit func() error
	// free replaces the question how many bytes the file system has left.
	free func(dir string) (int64, error)
	// now replaces the wall clock of received events.
	now func() time.Time
	// clock replaces all that the clock is made of, if it has anything.
	clock kernel
	// trusted replaces the question whether the wall clock is synchronised, where events expire by it.
	trusted func() bool
	// machine replaces the question on what machine we are.
	machine func() string
}

// withDefaults fills in o, or says what is wrong with it.
func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		return o, errors.New("no data directory was given: set data_dir")
	}
	if o.MaxSize == 0 {
		o.MaxSize = DefaultMaxSize
	}
	if o.MaxEventSize == 0 {
		o.MaxEventSize = DefaultMaxEventSize
	}
	if o.Reserve == 0 {
		o.Reserve = DefaultReserve
	}
	if o.Source == "" {
		o.Source = "gateway"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.hooks.free == nil {
		o.hooks.free = freeBytes
	}
	if o.hooks.now == nil {
		o.hooks.now = time.Now
	}
	if o.hooks.machine == nil {
		o.hooks.machine = machineID
	}
	switch {
	case o.MaxSize < MinMaxSize:
		return o, fmt.Errorf("the log's size bound is %s, the smallest is %s", mib(o.MaxSize), mib(MinMaxSize))
	case intSize == 32 && o.MaxSize > maxMaxSize32:
		return o, fmt.Errorf("the log's size bound is %s, a 32-bit gateway can take %s", mib(o.MaxSize), mib(maxMaxSize32))
	case o.MaxEventSize < 0 || o.MaxEventSize > maxEventSize:
		return o, fmt.Errorf("the bound of an event is %d bytes, the most is %d", o.MaxEventSize, maxEventSize)
	case o.MaxAge < 0 || o.KeepDelivered < 0:
		return o, fmt.Errorf("the bounds of age are %s and %s, they must not be negative", o.MaxAge, o.KeepDelivered)
	case o.Reserve < minReserve:
		return o, fmt.Errorf("the reserve of the disk is %s, the smallest is %s", mib(o.Reserve), mib(minReserve))
	case o.CommitInterval < 0 || o.CommitInterval > time.Minute:
		return o, fmt.Errorf("the commit interval is %s, it must be between 0 and 1m", o.CommitInterval)
	}
	return o, nil
}

// minReserve is what the engine needs to merge tables when the disk has nothing else left.
const minReserve = 32 << 20

// maxEventSize is the most that fits into a group.
const maxEventSize = groupBound - 1<<10

// mib writes a number of bytes for people.
func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

var _ gateway.Appender = (*Log)(nil)

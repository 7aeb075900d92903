package buffer

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"

	"gateway"
)

// storeVersion is the version of what the store has: keys, values and blocks (format.md).
const storeVersion = 1

const (
	metaFormat = prefixMeta + "format"
	metaLogID  = prefixMeta + "log"
	metaEpoch  = prefixMeta + "epoch"
	metaHead   = prefixMeta + "head"
	// metaMachine is a hash of the machine that opened the log last.
	metaMachine = prefixMeta + "machine"
	// metaBoot begins the keys of boots of which the true time is known: the boot id follows, 32 hexadecimal digits.
	metaBoot = prefixMeta + "boot/"
	// metaPlace is where the log was opened last.
	metaPlace = prefixMeta + "place"
	// metaGap begins the keys of gaps: the first offset follows, 16 hexadecimal digits.
	metaGap = prefixMeta + "gap/"
)

// state is what Open finds in the store.
type state struct {
	logID      string
	epoch      uint32
	first      gateway.Offset // the oldest event kept; last+1 if there is none
	last       gateway.Offset
	cumulative uint64 // bytes of all blocks ever written
	trimmed    uint64 // bytes of all blocks ever deleted
	cursors    map[string]gateway.Offset
	gaps       []gateway.Gap // in order
	machine    string        // that opened the log last; "" if unknown
}

// errNewerStore says that nobody here can read the store.
var errNewerStore = errors.New("store format")

// loadState reads the state, or makes that of a new log. It reads one block, whatever their number.
func loadState(e *engine, dir string, fresh bool) (state, error) {
	version, err := getUvarint(e, metaFormat)
	if errors.Is(err, ErrNotFound) && fresh {
		return newState(e, dir)
	}
	if err != nil {
		return state{}, err
	}
	if version > storeVersion {
		return state{}, fmt.Errorf("data directory %s was written by a newer gateway (%w %d, this one knows %d): install that version again, or choose another data_dir", dir, errNewerStore, version, storeVersion)
	}
	s := state{cursors: map[string]gateway.Offset{}}
	epoch, err := getUvarint(e, metaEpoch)
	if err != nil {
		return s, fmt.Errorf("read %s: %w", metaEpoch, err)
	}
	s.epoch = uint32(epoch)
	if err := e.get([]byte(metaLogID), func(v []byte) error { s.logID = string(v); return nil }); err != nil {
		return s, fmt.Errorf("read %s: %w", metaLogID, err)
	}
	err = e.get([]byte(metaMachine), func(v []byte) error { s.machine = string(v); return nil })
	if err != nil && !errors.Is(err, ErrNotFound) {
		return s, fmt.Errorf("read %s: %w", metaMachine, err)
	}
	if s.first, s.trimmed, err = loadHead(e); err != nil {
		return s, err
	}
	if err := s.loadLast(e, dir); err != nil {
		return s, err
	}
	if s.gaps, err = loadGaps(e); err != nil {
		return s, err
	}
	if n := len(s.gaps); n > 0 { // the newest events may be what is missing
		s.last = max(s.last, s.gaps[n-1].To)
	}
	return s, s.loadCursors(e)
}

func newState(e *engine, dir string) (state, error) {
	err := e.blockBefore(math.MaxUint64, func(gateway.Offset, []byte) error { return nil })
	if err == nil {
		return state{}, fmt.Errorf("data directory %s has events but no format version: it is damaged: copy it before anything else", dir)
	}
	if !errors.Is(err, ErrNotFound) {
		return state{}, err
	}
	id, err := newLogID()
	if err != nil {
		return state{}, err
	}
	s := state{logID: id, epoch: 1, first: 1, cursors: map[string]gateway.Offset{}}
	return s, e.commit([]write{
		{[]byte(metaFormat), binary.AppendUvarint(nil, storeVersion)},
		{[]byte(metaLogID), []byte(s.logID)},
		{[]byte(metaEpoch), binary.AppendUvarint(nil, uint64(s.epoch))},
	})
}

func newLogID() (string, error) {
	var id [8]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", err
	}
	return hex.EncodeToString(id[:]), nil
}

// raiseEpoch makes the IDs of what is appended from now on different from those of whatever was appended before and is lost.
func (s *state) raiseEpoch(e *engine) error {
	s.epoch++
	if err := e.commit([]write{{[]byte(metaEpoch), binary.AppendUvarint(nil, uint64(s.epoch))}}); err != nil {
		return fmt.Errorf("raise the epoch: %w", err)
	}
	return nil
}

func getUvarint(e *engine, key string) (v uint64, err error) {
	err = e.get([]byte(key), func(b []byte) error {
		n := 0
		if v, n = binary.Uvarint(b); n <= 0 {
			return fmt.Errorf("%s is not a number", key)
		}
		return nil
	})
	return v, err
}

// headValue is the value of metaHead.
func headValue(first gateway.Offset, trimmed uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(nil, uint64(first)), trimmed)
}

func loadHead(e *engine) (first gateway.Offset, trimmed uint64, err error) {
	err = e.get([]byte(metaHead), func(b []byte) error {
		c := input{b: b}
		first, trimmed = gateway.Offset(c.uvarint()), c.uvarint()
		return c.done()
	})
	if errors.Is(err, ErrNotFound) {
		return 1, 0, nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("read %s: %w", metaHead, err)
	}
	return first, trimmed, nil
}

// loadLast finds the newest block.
func (s *state) loadLast(e *engine, dir string) error {
	s.last, s.cumulative = s.first-1, s.trimmed
	err := e.blockBefore(math.MaxUint64, func(first gateway.Offset, v []byte) error {
		h, err := parseHeader(v)
		if err == nil && h.first != first {
			err = fmt.Errorf("it says it begins at %d", h.first)
		}
		if err != nil {
			return &CorruptError{Offset: first, Dir: dir, Err: err}
		}
		s.last, s.cumulative = h.last(), h.cumulative+uint64(len(v))
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

func (s *state) loadCursors(e *engine) error {
	return e.each(prefixCursor, func(name string, value []byte) error {
		c := input{b: value}
		s.cursors[name] = gateway.Offset(c.uvarint())
		if err := c.done(); err != nil {
			return fmt.Errorf("read cursor %s: %w", name, err)
		}
		return nil
	})
}

package buffer

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"gateway"
)

// fullCheckBytes is up to how much in blocks every block is decoded, and every table read: above it only headers are.
const fullCheckBytes = 16 << 20

// invariants is what must be true of a log that was closed, whatever was done to it before. It reads a picture of the directory.
type invariants struct {
	dir      string
	log      *Log // that was closed; nil if nobody is left to ask
	repaired bool // there may be a quarantine, and blocks that were found again
	faults   []string

	keys   map[string][]byte // records by key, unwrapped
	gaps   []gateway.Gap
	head   gateway.Offset
	cut    uint64 // bytes of all blocks ever deleted
	epoch  uint64
	end    header // the newest block; its count is 0 if there is none
	next   gateway.Offset
	bytes  uint64 // of the blocks behind the head
	holes  bool   // blocks are missing among them
	blocks int
}

// brokenInvariants checks the directory of a closed log, and the log itself if it is given, and says what is wrong. repaired: it may
// have a quarantine.
func brokenInvariants(dir string, l *Log, repaired bool) []string {
	v := &invariants{dir: dir, log: l, repaired: repaired, keys: map[string][]byte{}}
	v.checkFolder()
	if err := v.checkStore(); err != nil {
		v.fault("the store cannot be read: %v", err)
	}
	return v.faults
}

func (v *invariants) fault(format string, args ...any) {
	const most = 20
	if len(v.faults) < most {
		v.faults = append(v.faults, fmt.Sprintf(format, args...))
	}
}

// checkFolder wants the files that format.md names, and no others.
func (v *invariants) checkFolder() {
	kept, err := os.ReadDir(filepath.Join(v.dir, quarantineName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) || len(kept) > 0 && !v.repaired {
		v.fault("%d folders are in quarantine: %v", len(kept), err)
	}
	v.checkNames(v.dir, lockName, stateName, ballastName, engineName, quarantineName)
	v.checkNames(filepath.Join(v.dir, engineName), `\d{6}\.sst`, `\d{5}\.mem`, `\d{6}\.vlog`, "MANIFEST", "KEYREGISTRY", "DISCARD", "LOCK")
	found, err := inspect(v.dir, folderBytes(v.dir) < fullCheckBytes)
	if err != nil {
		v.fault("the files cannot be inspected: %v", err)
		return
	}
	if found.rebuild || !found.sound() || len(found.rests)+len(found.orphans) > 0 || found.torn > 0 {
		v.fault("the files have problems %v, tables that nobody knows %v, logs that end early %v, %d bytes torn",
			found.problems, found.orphans, found.rests, found.torn)
	}
}

func (v *invariants) checkNames(dir string, want ...string) {
	pattern := regexp.MustCompile("^(" + strings.Join(want, "|") + ")$")
	entries, err := os.ReadDir(dir)
	if err != nil {
		v.fault("%v", err)
	}
	for _, e := range entries {
		if !pattern.MatchString(e.Name()) {
			v.fault("%s should not be in %s", e.Name(), dir)
		}
	}
}

// checkStore opens a picture of the store and goes through its keys.
func (v *invariants) checkStore() error {
	temp, err := takeSnapshot(v.dir)
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	options, err := Options{Dir: temp}.withDefaults()
	if err != nil {
		return err
	}
	e, err := openPicture(filepath.Join(temp, engineName), engineGeometry(intSize), options.Logger)
	if err != nil {
		return err
	}
	err = e.view(v.readRecords)
	if err == nil {
		v.checkMeta()
		err = v.checkBlocks(e)
	}
	v.checkCursors()
	v.checkState()
	v.checkLog()
	return errors.Join(err, e.close(closePatience))
}

var wellFormed = regexp.MustCompile(`(?s)^(c/.{1,255}|k/.+|m/(format|log|epoch|machine|place|boot/[0-9a-f]{32}|head|place|boot/[0-9a-f]{32}|gap/[0-9a-f]{16})|z/)$`)

// readRecords takes everything but the blocks.
func (v *invariants) readRecords(txn *badger.Txn) error {
	it := txn.NewIterator(badger.IteratorOptions{})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		key := it.Item().KeyCopy(nil)
		if isBlockKey(key) {
			if len(key) != len(prefixBlock)+8 {
				v.fault("key %q is not well-formed", key)
			}
			continue
		}
		if !wellFormed.Match(key) {
			v.fault("key %q is not well-formed", key)
		}
		err := it.Item().Value(func(stored []byte) error {
			value, err := recordValue(key, stored)
			v.keys[string(key)] = slices.Clone(value)
			return err
		})
		if err != nil {
			v.fault("the record of %q: %v", key, err)
		}
	}
	return nil
}

// number reads a record that is one.
func (v *invariants) number(key string) uint64 {
	n, size := binary.Uvarint(v.keys[key])
	if size <= 0 || size != len(v.keys[key]) {
		v.fault("%s is no number: %x", key, v.keys[key])
	}
	return n
}

func (v *invariants) checkMeta() {
	if n := v.number(metaFormat); n != storeVersion {
		v.fault("the format is %d", n)
	}
	if v.epoch = v.number(metaEpoch); v.epoch == 0 || v.epoch > math.MaxUint32 {
		v.fault("the epoch is %d", v.epoch)
	}
	id := regexp.MustCompile(`^[0-9a-f]{16}$`)
	if b := v.keys[metaLogID]; !id.Match(b) {
		v.fault("the log id is %q", b)
	}
	if b, ok := v.keys[metaMachine]; ok && len(b) == 0 {
		v.fault("the machine is empty")
	}
	v.head = 1
	if b, ok := v.keys[metaHead]; ok {
		c := input{b: b}
		v.head, v.cut = gateway.Offset(c.uvarint()), c.uvarint()
		if err := c.done(); err != nil || v.head == 0 {
			v.fault("the head is %x: %v", b, err)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(v.keys)) {
		if strings.HasPrefix(key, metaGap) {
			v.checkGap(key)
		}
	}
}

// checkGap wants them in order, apart from each other.
func (v *invariants) checkGap(key string) {
	var g gateway.Gap
	if err := json.Unmarshal(v.keys[key], &g); err != nil {
		v.fault("%s: %v", key, err)
		return
	}
	if string(gapKey(g.From)) != key || g.From == 0 || g.To < g.From || !g.Until.IsZero() && g.Until.Before(g.Since) {
		v.fault("%s is the gap %+v", key, g)
	}
	if !slices.Contains([]string{gateway.LostFull, gateway.LostAge, gateway.LostDamage}, g.Reason) {
		v.fault("gap %d to %d has the reason %q", g.From, g.To, g.Reason)
	}
	if n := len(v.gaps); n > 0 && v.gaps[n-1].To >= g.From {
		v.fault("gap %d to %d begins within gap %d to %d", g.From, g.To, v.gaps[n-1].From, v.gaps[n-1].To)
	}
	v.gaps = append(v.gaps, g)
}

// checkBlocks goes from block to block. Those behind the head wait to be dropped, and only have to be whole ones.
func (v *invariants) checkBlocks(e *engine) error {
	dec, err := newDecoder(string(v.keys[metaLogID]), nil)
	if err != nil {
		return err
	}
	defer dec.dec.Close()
	v.next = v.head
	err = e.eachBlock(0, func(first gateway.Offset, block []byte) error {
		h, err := parseHeader(block)
		if err == nil && v.bytes < fullCheckBytes {
			_, _, err = dec.decode(block)
		}
		if err != nil || h.first != first {
			v.fault("the block at %d says it begins at %d: %v", first, h.first, err)
			return nil
		}
		v.checkBlock(h, len(block))
		return nil
	})
	v.missing(v.next, v.last())
	if v.blocks > 0 && v.end.cumulative+uint64(v.endSize()) < v.cut {
		v.fault("%d bytes of blocks were deleted, and %d written", v.cut, v.end.cumulative)
	}
	return err
}

func (v *invariants) checkBlock(h header, size int) {
	if h.epoch == 0 || uint64(h.epoch) > v.epoch || v.end.count > 0 && h.epoch < v.end.epoch {
		v.fault("the block at %d has epoch %d, behind %d in a log of %d", h.first, h.epoch, v.end.epoch, v.epoch)
	}
	if h.last() < v.head {
		return // dead
	}
	if h.first < v.next {
		v.fault("the block at %d begins before %d", h.first, v.next)
	}
	before := v.cut + v.bytes // what was written before it, if nothing is missing
	if h.first > v.next {
		v.missing(v.next, h.first-1)
	}
	if h.cumulative < before || h.cumulative > before && !v.holes && !v.repaired {
		v.fault("the block at %d was written after %d bytes of blocks, want %d", h.first, h.cumulative, before)
	}
	for _, g := range v.gaps {
		if g.From <= h.last() && g.To >= h.first && !v.repaired {
			v.fault("events %d to %d are there, and in the gap %d to %d", h.first, h.last(), g.From, g.To)
		}
	}
	v.bytes = h.cumulative + uint64(size) - v.cut
	v.end, v.next = h, h.last()+1
	v.blocks++
}

// endSize is the size of the newest block.
func (v *invariants) endSize() int { return int(v.cut + v.bytes - v.end.cumulative) }

// missing wants a gap for every offset from from to to.
func (v *invariants) missing(from, to gateway.Offset) {
	list := gaps{list: v.gaps}
	for at := from; at <= to; {
		g, _, ok := list.at(at)
		if !ok {
			v.fault("offsets %d to %d are missing, and %d is in no gap", from, to, at)
			return
		}
		v.holes = v.holes || g.Reason == gateway.LostDamage
		at = g.To + 1
	}
}

// last is the last offset that was given.
func (v *invariants) last() gateway.Offset {
	last := v.head - 1
	if v.blocks > 0 {
		last = v.end.last()
	}
	if n := len(v.gaps); n > 0 {
		last = max(last, v.gaps[n-1].To)
	}
	return last
}

func (v *invariants) checkCursors() {
	for key := range v.keys {
		if name, ok := strings.CutPrefix(key, prefixCursor); ok && v.number(key) > uint64(v.last()) {
			v.fault("cursor %s is at %d, the log ends at %d", name, v.number(key), v.last())
		}
	}
}

// checkState compares the file beside the store with it.
func (v *invariants) checkState() {
	s, err := readState(v.dir)
	if errors.Is(err, fs.ErrNotExist) || err != nil {
		v.fault("the state: %v", err)
		return
	}
	want := stateFile{LogID: string(v.keys[metaLogID]), Epoch: uint32(v.epoch), Clean: true, Last: v.last(), Boot: s.Boot}
	if s != want {
		v.fault("the state is %+v, want %+v", s, want)
	}
}

// checkLog compares what the log had in memory at the end with what it left.
func (v *invariants) checkLog() {
	if v.log == nil {
		return
	}
	s := v.log.Status()
	if s.First != v.head || s.Last != v.last() || string(v.keys[metaLogID]) != s.LogID || v.epoch != uint64(s.Epoch) {
		v.fault("status says %d to %d of log %s, epoch %d; the store has %d to %d of %s, %d", s.First, s.Last, s.LogID, s.Epoch, v.head, v.last(), v.keys[metaLogID], v.epoch)
	}
	cursors := map[string]gateway.Offset{}
	for key := range v.keys {
		if name, ok := strings.CutPrefix(key, prefixCursor); ok {
			cursors[name] = gateway.Offset(v.number(key))
		}
	}
	if !maps.Equal(s.Cursors, cursors) {
		v.fault("status has cursors %v, the store %v", s.Cursors, cursors)
	}
	same := func(a, b gateway.Gap) bool { return a.From == b.From && a.To == b.To && a.Reason == b.Reason }
	if !slices.EqualFunc(s.Gaps, v.gaps, same) {
		v.fault("status has gaps %v, the store %v", s.Gaps, v.gaps)
	}
	if live := v.log.usage.live.Load(); live != v.bytes {
		v.fault("the log counts %d bytes of blocks, the store has %d", live, v.bytes)
	}
}

package buffer

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"time"

	"gateway"
)

// newEngineName is the folder of a store that is being made.
const newEngineName = engineName + ".new"

// rebuilder makes a new store of all that is right in the files of a damaged one.
type rebuilder struct {
	dir      string // the data directory
	from     string // the folder with the engine's damaged files; beside it is what else was set aside
	state    stateFile
	log      *slog.Logger
	progress func(done, total uint64)
	force    bool // begin anew even if nothing was found

	files   []string
	total   uint64 // bytes to search, twice
	done    uint64
	told    time.Time
	records map[string]foundRecord
	missing []gateway.Gap
	report  gateway.LogReport
}

// foundRecord says where the newest record of a key is.
type foundRecord struct {
	stamp uint64
	value []byte
}

// run makes the store in newEngineName and moves it to its place. It can be repeated, whenever it was cut off.
func (r *rebuilder) run(ctx context.Context) (gateway.LogReport, error) {
	target := filepath.Join(r.dir, newEngineName)
	if err := os.RemoveAll(target); err != nil {
		return r.report, err
	}
	if err := r.findFiles(); err != nil {
		return r.report, err
	}
	if err := r.findRecords(ctx); err != nil {
		return r.report, err
	}
	if err := os.Mkdir(target, 0o700); err != nil {
		return r.report, dirError(r.dir, err)
	}
	e, err := openEngine(target, engineGeometry(intSize), r.log)
	if err != nil {
		return r.report, err
	}
	err = r.fill(ctx, e)
	if err = errors.Join(err, e.close(closePatience)); err != nil {
		return r.report, errors.Join(err, os.RemoveAll(target))
	}
	if err := syncDir(target); err != nil {
		return r.report, err
	}
	if err := os.Rename(target, filepath.Join(r.dir, engineName)); err != nil {
		return r.report, err
	}
	return r.report, syncDir(r.dir)
}

func (r *rebuilder) findFiles() error {
	for _, dir := range [...]string{r.from, filepath.Dir(r.from)} {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			if info, err := e.Info(); err == nil && info.Mode().IsRegular() && e.Name() != reportName {
				r.files = append(r.files, filepath.Join(dir, e.Name()))
				r.total += 2 * uint64(info.Size())
			}
		}
	}
	return nil
}

// search carves all files.
func (r *rebuilder) search(ctx context.Context, c carver) error {
	for _, name := range r.files {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := carveFile(name, 0, c)
		if err != nil {
			return carveError(name, err)
		}
		r.done += uint64(n)
		r.tell("searching damaged files for events")
	}
	return nil
}

// tell reports how far it is, every few seconds.
func (r *rebuilder) tell(what string) {
	if r.progress != nil {
		r.progress(min(r.done, r.total), r.total)
	}
	if now := time.Now(); now.Sub(r.told) > 5*time.Second {
		r.told = now
		r.log.Info(what, "dir", r.dir, "done", mib(int64(r.done)), "of", mib(int64(r.total)), "blocks", r.report.Blocks)
	}
}

// findRecords keeps the newest record of each key in memory: cursors, gaps, dead letters.
func (r *rebuilder) findRecords(ctx context.Context) error {
	r.records = map[string]foundRecord{}
	blocks := 0
	err := r.search(ctx, carver{
		record: func(f record, _ int64) error {
			if old, ok := r.records[string(f.key)]; !ok || f.stamp > old.stamp {
				r.records[string(f.key)] = foundRecord{f.stamp, append([]byte{}, f.value...)}
			}
			return nil
		},
		block: func(header, []byte, int64) error { blocks++; return nil },
	})
	r.useState()
	if err == nil && blocks+len(r.records) == 0 && !r.force {
		err = errNothingFound
	}
	return err
}

// useState takes what a state says that was found among the files: it is not where it should be.
func (r *rebuilder) useState() {
	f, ok := r.records[stateName]
	if !ok {
		return
	}
	delete(r.records, stateName)
	var s stateFile
	if json.Unmarshal(f.value, &s) != nil {
		return
	}
	r.state.LogID = cmp.Or(r.state.LogID, s.LogID)
	r.state.Epoch, r.state.Last = max(r.state.Epoch, s.Epoch), max(r.state.Last, s.Last)
}

// errNothingFound says that a log was there, and nothing of it can be read.
var errNothingFound = errors.New("not one event and not one position could be read of it")

// number returns the value of a record that is a number.
func (r *rebuilder) number(key string) uint64 {
	v, n := binary.Uvarint(r.records[key].value)
	if n <= 0 {
		return 0
	}
	return v
}

// fill writes the store.
func (r *rebuilder) fill(ctx context.Context, e *engine) error {
	head, trimmed := r.head()
	epoch := max(uint32(r.number(metaEpoch)), r.state.Epoch)
	s := &salvage{e: e, head: head}
	err := r.search(ctx, carver{block: func(h header, block []byte, at int64) error {
		epoch = max(epoch, h.epoch)
		r.report.Blocks = s.blocks
		return s.put(h, block, at)
	}})
	if err = errors.Join(err, s.flush()); err != nil {
		return err
	}
	if head == 0 {
		head = r.lostHead(s.lowest)
	}
	found := &holes{from: head, end: r.end(head) + 1}
	if err := found.find(e); err != nil {
		return err
	}
	if len(found.drop) > 0 {
		if err := commitAll(e, found.drop); err != nil {
			return err
		}
		again := &holes{from: found.from, end: found.end}
		if err := again.find(e); err != nil {
			return err
		}
		found = again
	}
	if found.blocks > 0 && (trimmed == 0 || trimmed > found.before) {
		trimmed = found.before
	}
	r.report.Blocks, r.report.Events, r.report.Bytes = found.blocks, found.events, found.bytes
	r.report.First, r.report.Last = head, max(r.end(head), found.last.last())
	if found.blocks == 0 {
		r.report.Last = max(r.end(head), head-1)
	}
	r.missing = found.missing
	r.report.Gone = r.unknown(found.missing)
	r.report.Epoch, r.report.Repaired = branchEpoch(epoch), time.Now().UTC()
	return r.finish(e, head, trimmed)
}

// head is the oldest offset kept and the bytes deleted before it, as the newest record of it says; 0 if there is none.
func (r *rebuilder) head() (gateway.Offset, uint64) {
	c := input{b: r.records[metaHead].value}
	first, trimmed := gateway.Offset(c.uvarint()), c.uvarint()
	if c.err != nil {
		return 0, 0
	}
	return first, trimmed
}

// lostHead is where the log begins if no record says so: it was never trimmed, or the record is lost. What a consumer has not passed was
// not trimmed.
func (r *rebuilder) lostHead(lowest gateway.Offset) gateway.Offset {
	passed, consumers := gateway.Offset(math.MaxUint64), false
	for key := range r.records {
		if len(key) > len(prefixCursor) && key[:len(prefixCursor)] == prefixCursor {
			passed, consumers = min(passed, gateway.Offset(r.number(key))), true
		}
	}
	if !consumers {
		return 1
	}
	if lowest == 0 {
		return passed + 1
	}
	return min(lowest, passed+1)
}

// end is the highest offset of which anything but a block says that it was given.
func (r *rebuilder) end(head gateway.Offset) gateway.Offset {
	end := max(r.state.Last, head-1)
	for key := range r.records {
		if len(key) > len(prefixCursor) && key[:len(prefixCursor)] == prefixCursor {
			end = max(end, gateway.Offset(r.number(key)))
		}
	}
	return end
}

// finish writes everything that is not a block, the format last: a store without it is not whole.
func (r *rebuilder) finish(e *engine, head gateway.Offset, trimmed uint64) error {
	logID := string(r.records[metaLogID].value)
	if logID == "" {
		logID = r.state.LogID
	}
	if logID == "" {
		var err error
		if logID, err = newLogID(); err != nil {
			return err
		}
		r.report.Problems = append(r.report.Problems, gateway.LogProblem{Text: "the id of the log is lost: events without an ID of their own get another one than before"})
	}
	gaps := r.gaps()
	for _, g := range r.missing {
		g.Noticed = r.report.Repaired
		gaps = withGap(gaps, g)
	}
	var writes []write
	for key, f := range r.records {
		switch {
		case key == metaFormat || key == metaLogID || key == metaEpoch || key == metaHead || len(key) > len(metaGap) && key[:len(metaGap)] == metaGap:
		case key[:min(2, len(key))] == prefixNudge:
		default:
			writes = append(writes, write{[]byte(key), f.value})
		}
	}
	changes, err := gapChanges(nil, gaps)
	if err != nil {
		return err
	}
	if err := commitAll(e, append(writes, changes...)); err != nil {
		return err
	}
	return e.commit([]write{
		{[]byte(metaLogID), []byte(logID)},
		{[]byte(metaEpoch), binary.AppendUvarint(nil, uint64(r.report.Epoch))},
		{[]byte(metaHead), headValue(head, trimmed)},
		{[]byte(metaFormat), binary.AppendUvarint(nil, storeVersion)},
	})
}

// unknown are those of the holes that are not gaps already.
func (r *rebuilder) unknown(missing []gateway.Gap) []gateway.Gap {
	var known, gone []gateway.Gap
	for key, f := range r.records {
		if len(key) > len(metaGap) && key[:len(metaGap)] == metaGap {
			if g, err := parseGap(f.value); err == nil {
				known = append(known, g)
			}
		}
	}
	for _, g := range missing {
		if !covered(known, g) {
			gone = append(gone, g)
		}
	}
	return gone
}

// gaps are the holes that were known before.
func (r *rebuilder) gaps() []gateway.Gap {
	var list []gateway.Gap
	for key, f := range r.records {
		if len(key) > len(metaGap) && key[:len(metaGap)] == metaGap {
			if g, err := parseGap(f.value); err == nil && g.Reason != gateway.LostDamage { // what is damaged was looked for anew
				list = withGap(list, g)
			}
		}
	}
	return list
}

// commitAll commits the writes in transactions that the engine takes.
func commitAll(e *engine, writes []write) error {
	s := &salvage{e: e}
	for _, w := range writes {
		if err := s.add(w); err != nil {
			return fmt.Errorf("write %q: %w", w.key, err)
		}
	}
	return s.flush()
}

package buffer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"gateway"
)

// recovery is what Open does about what inspect found: before the engine opens the files, and after it has.
type recovery struct {
	lock   *os.File // of the data directory; nil for a picture of one
	dir    string
	parent string // of the folders in quarantine
	log    *slog.Logger
	free   func(string) (int64, error)
	force  bool // begin anew even if nothing was found
	tell   func(done, total uint64)

	found  *inspection
	torn   bool           // they are nothing but the newest write, cut off
	pieces string         // the folder with what the engine cut off, "" if it did not
	lowest gateway.Offset // of the blocks that were put back, 0 if none were
	report gateway.LogReport
}

// before makes the files such that the engine may open them.
func (r *recovery) before(ctx context.Context) error {
	if r.found.fresh {
		return writeState(r.dir, stateFile{Clean: true}) // so that a store that goes missing is missed
	}
	r.report = r.found.report()
	s := r.found.state
	if s.Rebuild && s.Salvage != "" {
		return r.resume(ctx)
	}
	if r.found.rebuild {
		return r.rebuild(ctx)
	}
	r.pieces = r.asideBefore() // by a start that was cut off
	r.torn = r.found.sound() && !r.found.badState && len(r.found.orphans) == 0 && (s.Salvage == "" || s.Torn)
	if len(r.found.rests)+len(r.found.orphans) > 0 || r.found.badState {
		dir, err := r.keep()
		if err != nil {
			return err
		}
		if r.pieces, err = joinPieces(r.pieces, dir); err != nil {
			return err
		}
	}
	if r.pieces == "" {
		return nil
	}
	return r.begin(stateFile{Salvage: r.pieces, Torn: r.torn})
}

// asideBefore is the folder with what a start that was cut off has set aside, "" if there is none. If somebody has deleted it, what is
// missing now is looked for.
func (r *recovery) asideBefore() string {
	dir := r.found.state.Salvage
	if dir == "" || isDir(dir) {
		return dir
	}
	r.report.Problems = append(r.report.Problems, gateway.LogProblem{
		File: dir, Text: "it was being put back when the start was cut off, and is gone now",
	})
	return ""
}

// keep sets the pieces aside.
func (r *recovery) keep() (string, error) {
	dir, err := newQuarantine(r.parent)
	if err != nil {
		return "", err
	}
	return dir, r.found.keepPieces(dir)
}

// joinPieces moves what was set aside before to what was set aside now.
func joinPieces(old, dir string) (string, error) {
	if old == "" {
		return dir, nil
	}
	entries, err := os.ReadDir(old)
	if errors.Is(err, fs.ErrNotExist) {
		return dir, nil
	}
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if err := keepFile(filepath.Join(old, e.Name()), filepath.Join(dir, "earlier-"+e.Name())); err != nil {
			return "", err
		}
	}
	return dir, syncDir(dir)
}

// begin writes down that the log is in use, and what is being done. The rest of the state stays what it was.
func (r *recovery) begin(s stateFile) error {
	s.LogID, s.Epoch, s.Last = r.found.state.LogID, r.found.state.Epoch, r.found.state.Last
	s.Suspect, s.Starts = r.found.state.Suspect, r.found.state.Starts+1
	err := writeState(r.dir, s)
	if isFullDisk(err) && s.Salvage == "" && !s.Rebuild {
		r.log.Warn("the state of the log cannot be written: its disk is full", "dir", r.dir, "err", err)
		return nil
	}
	return err
}

// rebuild sets all files aside and makes a new store of what is right in them.
func (r *recovery) rebuild(ctx context.Context) error {
	from := filepath.Join(r.dir, engineName)
	if err := r.needRoom(from); err != nil {
		return err
	}
	dir, err := newQuarantine(r.parent)
	if err != nil {
		return err
	}
	for _, p := range r.found.problems {
		r.log.Error("the log is damaged", "dir", r.dir, "file", p.File, "problem", p.Text)
	}
	if err := r.found.keepState(dir); err != nil {
		return err
	}
	if _, err := joinPieces(r.pieces, dir); err != nil {
		return err
	}
	r.pieces = ""
	if err := r.begin(stateFile{Salvage: dir, Rebuild: true}); err != nil {
		return err
	}
	err = moveFolder(from, filepath.Join(dir, engineName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("set the damaged files aside in %s: %w", dir, err)
	}
	return r.build(ctx, dir)
}

// resume goes on with a rebuild that was cut off.
func (r *recovery) resume(ctx context.Context) error {
	dir := r.found.state.Salvage
	aside, here := isDir(filepath.Join(dir, engineName)), isDir(filepath.Join(r.dir, engineName))
	switch {
	case aside && here: // it was done, but for saying so; or the copy to another disk was
		if sameDisk(dir, r.dir) {
			r.report.Quarantine = dir
			return r.begin(stateFile{})
		}
		fallthrough
	case here:
		return r.rebuild(ctx)
	}
	r.log.Warn("the repair of the log goes on where it was cut off", "dir", r.dir, "quarantine", dir)
	return r.build(ctx, dir)
}

// build makes the new store of the files in dir.
func (r *recovery) build(ctx context.Context, dir string) error {
	b := &rebuilder{
		dir: r.dir, from: filepath.Join(dir, engineName), state: r.found.state,
		log: r.log, progress: r.tell, force: r.force,
	}
	report, err := b.run(ctx)
	if errors.Is(err, errNothingFound) {
		return &DamageError{Dir: r.dir, Report: r.report, Err: fmt.Errorf("%w; its files are in %s", err, dir)}
	}
	if err != nil {
		return fmt.Errorf("rebuild the log from %s: %w", dir, err)
	}
	report.Problems = append(r.report.Problems, report.Problems...)
	report.TornTail, report.Quarantine = r.report.TornTail, dir
	r.report = report
	r.announce()
	if err := writeReport(dir, r.report); err != nil {
		r.log.Warn("the report of the repair cannot be written", "quarantine", dir, "err", err)
	}
	// What was found now stands in the store; the files were looked at and are new.
	r.found.state.Suspect = false
	r.found.state.Epoch = report.Epoch
	return r.begin(stateFile{})
}

// announce tells a person what was found and what is gone.
func (r *recovery) announce() {
	rep := &r.report
	r.log.Warn("log repaired: what is right in its files was kept", "dir", r.dir, "events", rep.Events,
		"first", uint64(rep.First), "last", uint64(rep.Last), "gaps", len(rep.Gone), "epoch", rep.Epoch, "quarantine", rep.Quarantine)
	for i, g := range rep.Gone {
		if i == 20 {
			r.log.Error("more events of the log are gone", "gaps", len(rep.Gone)-i, "see", filepath.Join(rep.Quarantine, reportName))
			return
		}
		r.log.Error("events of the log are gone", "from", uint64(g.From), "to", uint64(g.To), "events", g.Count(), "after", g.Since, "before", g.Until)
	}
}

// needRoom says whether the disk has room for a second copy of what is kept.
func (r *recovery) needRoom(from string) error {
	need := folderBytes(from) + openReserve
	free, err := r.free(r.dir)
	if err != nil {
		return dirError(r.dir, err)
	}
	if free >= need || !sameDisk(r.dir, r.parent) {
		return nil
	}
	return &DamageError{Dir: r.dir, Report: r.report, Err: fmt.Errorf("its disk has %s left and a repair needs %s: free space, or name a folder on another disk with --quarantine", mib(free), mib(need))}
}

// putBack gives the store what the engine has cut off.
func (r *recovery) putBack(e *engine) error {
	if r.pieces == "" {
		return nil
	}
	head, _, err := loadHead(e)
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return err
	}
	p := &salvage{e: e, head: head}
	if err := p.missed(r.pieces); err != nil {
		return err
	}
	stamp := e.stamp.Load()
	c := carver{block: p.put}
	if !r.torn { // half of a write that nobody was told of: a position without what belongs to it would be a loss
		c.record = func(f record, _ int64) error { return p.putRecord(f, stamp) }
	}
	err = p.dir(r.pieces, c)
	if err != nil {
		return fmt.Errorf("put back what was set aside in %s: %w", r.pieces, err)
	}
	r.lowest = p.lowest
	if p.blocks > 0 {
		r.log.Warn("events were put back that the storage engine would have dropped", "events", p.events, "from", uint64(p.lowest))
	}
	return nil
}

// after finds what is missing in the open store, and raises the epoch if events may have been lost.
func (r *recovery) after(e *engine, s *state) error {
	if r.found.fresh {
		return r.tidy(s)
	}
	if r.report.Repaired.IsZero() && (r.lowest != 0 || len(r.report.Problems) > 0 || s.endIsMissing(r.found.state.Last)) {
		if err := r.findHoles(e, s); err != nil {
			return err
		}
	}
	if r.found.unclean() && r.report.Repaired.IsZero() {
		if err := s.raiseEpoch(e); err != nil {
			return err
		}
	}
	return r.tidy(s)
}

// endIsMissing says whether somebody knows of later events than the log has.
func (s *state) endIsMissing(known gateway.Offset) bool {
	for _, at := range s.cursors {
		known = max(known, at)
	}
	return known > s.last
}

// findHoles looks for what is missing from the place on where something was wrong.
func (r *recovery) findHoles(e *engine, s *state) error {
	from := s.first
	for _, at := range []gateway.Offset{r.found.walFrom, r.lowest} {
		if at != 0 && (from == s.first || at < from) {
			from = max(at, s.first)
		}
	}
	end := max(s.last, r.found.state.Last)
	for _, at := range s.cursors {
		end = max(end, at)
	}
	h := &holes{from: from, end: end + 1}
	if err := h.find(e); err != nil {
		return err
	}
	gaps := s.gaps
	now := time.Now().UTC()
	for _, g := range h.missing {
		g.Noticed = now
		gaps = withGap(gaps, g)
	}
	for _, g := range h.missing {
		if !covered(s.gaps, g) {
			r.report.Gone = append(r.report.Gone, g)
		}
	}
	changes, err := gapChanges(s.gaps, gaps)
	if err != nil {
		return err
	}
	if err := commitAll(e, changes); err != nil {
		return err
	}
	s.gaps, s.last = gaps, end
	for _, g := range r.report.Gone {
		r.log.Error("events of the log are gone", "from", uint64(g.From), "to", uint64(g.To), "events", g.Count(), "after", g.Since, "before", g.Until)
	}
	return nil
}

// covered says whether g is in one of the gaps.
func covered(list []gateway.Gap, g gateway.Gap) bool {
	for _, known := range list {
		if known.From <= g.From && known.To >= g.To {
			return true
		}
	}
	return false
}

// tidy writes down that all is done. Pieces that were kept for nothing but a write that was cut off are not kept.
func (r *recovery) tidy(s *state) error {
	if r.report.TornTail > 0 {
		r.log.Warn("the newest write was cut off: by the power cut, before anybody was told of it, or by damage, which looks the same",
			"dir", r.dir, "bytes", r.report.TornTail, "last", uint64(s.last))
	}
	for _, p := range r.report.Problems {
		if r.report.Repaired.IsZero() {
			r.log.Error("the log is damaged", "dir", r.dir, "file", p.File, "problem", p.Text)
		}
	}
	r.found.state.LogID, r.found.state.Epoch = s.logID, s.epoch
	r.found.state.Last = max(r.found.state.Last, s.last)
	if err := r.begin(stateFile{}); err != nil {
		return err
	}
	if r.pieces == "" {
		return nil
	}
	if len(r.report.Problems) == 0 && len(r.report.Gone) == 0 {
		return os.RemoveAll(r.pieces)
	}
	r.report.Quarantine = r.pieces
	return writeReport(r.pieces, r.report)
}

// mayRebuild says whether err, of opening the store, is one that a rebuild would mend: not the disk's or the user's.
func (r *recovery) mayRebuild(err error) bool {
	var errno syscall.Errno
	var damage *DamageError
	return r.report.Repaired.IsZero() && !r.found.fresh && !errors.As(err, &errno) && !errors.As(err, &damage) && !errors.Is(err, errNewerStore)
}

// moveFolder renames a folder or, to another disk, copies it and then removes it.
func moveFolder(from, to string) error {
	err := os.Rename(from, to)
	if !errors.Is(err, syscall.EXDEV) {
		if err == nil {
			err = errors.Join(syncDir(filepath.Dir(to)), syncDir(filepath.Dir(from)))
		}
		return err
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := copyFile(filepath.Join(from, e.Name()), filepath.Join(to, e.Name()), 0); err != nil {
			return err
		}
	}
	return errors.Join(syncDir(to), os.RemoveAll(from), syncDir(filepath.Dir(from)))
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// sameDisk says whether two paths, or the folders that they will be in, are on one file system.
func sameDisk(a, b string) bool {
	device := func(name string) uint64 {
		for {
			var s syscall.Stat_t
			if err := syscall.Stat(name, &s); err == nil || name == filepath.Dir(name) {
				return uint64(s.Dev)
			}
			name = filepath.Dir(name)
		}
	}
	return device(a) == device(b)
}

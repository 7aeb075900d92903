package buffer

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"

	"gateway"
)

// inspection is what the files of a data directory look like before the engine opens them. The engine opens much that is
// damaged without a word, deletes what it does not understand, and ends the process over the rest. So we look first.
type inspection struct {
	dir      string
	state    stateFile
	hasState bool
	badState bool // there is one, and it cannot be read
	fresh    bool // there is nothing: a new log
	full     bool // every table was read
	problems []gateway.LogProblem
	// rebuild says that the engine must not open these files: a new store has to be made of what is right in them.
	rebuild bool
	// rests are the parts of write-ahead logs that the engine will cut off, though there is something in them, and orphans
	// the tables that it will delete: pieces of either may be missing afterwards.
	rests   []walRest
	orphans []string
	walFrom gateway.Offset // the first offset in the write-ahead logs, 0 if they have none
	// torn is how many bytes at the end of the newest write-ahead log are not a whole transaction.
	torn int64
}

// walRest is what follows the last whole transaction of a write-ahead log.
type walRest struct {
	name string
	from int64
}

// unclean says that the log was not closed: what was written last may be lost without a trace.
func (i *inspection) unclean() bool { return !i.fresh && (!i.hasState || !i.state.Clean) }

func (i *inspection) problem(file, format string, args ...any) {
	i.problems = append(i.problems, gateway.LogProblem{File: file, Text: fmt.Sprintf(format, args...)})
}

// broken is a problem for which the store has to be rebuilt.
func (i *inspection) broken(file, format string, args ...any) {
	i.problem(file, format, args...)
	i.rebuild = true
}

// inspect looks at the files of a data directory and changes nothing. It reads the write-ahead logs and the ends of the
// tables, and with full also everything in the tables.
func inspect(dir string, full bool) (*inspection, error) {
	i := &inspection{dir: dir}
	var err error
	i.state, err = readState(dir)
	i.hasState, i.badState = err == nil, errors.Is(err, ErrCorrupt)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrCorrupt) {
		return nil, dirError(dir, err)
	}
	entries, listErr := os.ReadDir(filepath.Join(dir, engineName))
	if listErr != nil && !errors.Is(listErr, fs.ErrNotExist) {
		return nil, dirError(dir, listErr)
	}
	tables, wals, manifest := engineFiles(entries)
	format := len(tables) > 0 || i.anyFormat(wals)
	if i.hasState && i.state.LogID == "" && !i.state.Rebuild && i.state.Salvage == "" && !format { // a first start that was cut off before anything was accepted
		i.fresh = true
		return i, nil
	}
	if len(tables)+len(wals) == 0 && !manifest {
		return i, i.lookAtNothing()
	}
	switch {
	case errors.Is(err, ErrCorrupt):
		i.problem(stateName, "the file is damaged: %v", err)
	case err != nil:
		i.problem(stateName, "the file is missing")
	}
	i.full = full || i.state.suspect()
	i.lookAtManifest(tables, manifest, i.full)
	i.lookAtLogs(wals)
	i.lookAtRegistry()
	if !format {
		i.broken(engineName, "there is no table, and the write-ahead log does not have the beginning of the log")
	}
	return i, nil
}

// engineFiles sorts out what the engine has.
func engineFiles(entries []fs.DirEntry) (tables map[uint64]string, wals []string, manifest bool) {
	tables = map[uint64]string{}
	for _, e := range entries {
		id, isTable := table.ParseFileID(e.Name())
		switch {
		case isTable:
			tables[id] = e.Name()
		case strings.HasSuffix(e.Name(), ".mem"):
			wals = append(wals, e.Name())
		case e.Name() == badger.ManifestFilename:
			manifest = true
		}
	}
	slices.Sort(wals)
	return tables, wals, manifest
}

// lookAtNothing decides whether a directory without a store is a new one.
func (i *inspection) lookAtNothing() error {
	quarantine, err := os.ReadDir(filepath.Join(i.dir, quarantineName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return dirError(i.dir, err)
	}
	if !i.hasState && len(quarantine) == 0 {
		if _, err := os.Stat(filepath.Join(i.dir, stateName)); err != nil {
			i.fresh = true
			return nil
		}
	}
	if i.state.Rebuild && isDir(i.state.Salvage) {
		i.broken(engineName, "a repair was cut off: the files of the log are in %s, which must not be deleted; the next start, or gateway log repair, goes on with it", i.state.Salvage)
		return nil
	}
	i.broken(engineName, "the files of the log are gone")
	return nil
}

// lookAtManifest compares the engine's list of its tables with the tables.
func (i *inspection) lookAtManifest(tables map[uint64]string, there, full bool) {
	name := filepath.Join(engineName, badger.ManifestFilename)
	if !there {
		i.broken(name, "the file is missing: the engine would delete all %d tables", len(tables))
		return
	}
	m, err := readManifest(filepath.Join(i.dir, name))
	if err != nil {
		i.broken(name, "the file is damaged: %v", err)
		return
	}
	ids := make([]uint64, 0, len(m.Tables))
	for id := range m.Tables {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		file, ok := tables[id]
		if !ok {
			i.broken(filepath.Join(engineName, table.IDToFilename(id)), "the file is missing")
			continue
		}
		delete(tables, id)
		if err := checkTable(filepath.Join(i.dir, engineName, file), full); err != nil {
			i.broken(filepath.Join(engineName, file), "the file is damaged: %v", err)
		}
	}
	for _, file := range tables {
		i.orphans = append(i.orphans, file)
	}
	slices.Sort(i.orphans)
}

// readManifest reads the list of tables. Its reader is the engine's own.
func readManifest(name string) (m badger.Manifest, err error) {
	f, err := os.Open(name)
	if err != nil {
		return m, err
	}
	defer f.Close()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it cannot be read: %v", r)
		}
	}()
	m, _, err = badger.ReplayManifestFile(f, 0, badger.DefaultOptions(filepath.Dir(name)).WithLogger(nil))
	return m, err
}

// lookAtRegistry reads the engine's list of encryption keys. It has none, and begins with 16 random bytes and a greeting, without
// which the engine does not open the store. If the file is missing, it makes another.
func (i *inspection) lookAtRegistry() {
	name := filepath.Join(engineName, badger.KeyRegistryFileName)
	b, err := os.ReadFile(filepath.Join(i.dir, name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		i.broken(name, "the file cannot be read: %v", err)
	case len(b) != 16+len(registryGreeting) || string(b[16:]) != registryGreeting:
		i.broken(name, "the file is damaged")
	}
}

const registryGreeting = "Hello Badger"

// lookAtLogs reads the write-ahead logs.
func (i *inspection) lookAtLogs(names []string) {
	used := -1 // the newest that has something in it: those behind it were made in advance
	logs := make([]wal, len(names))
	for n, name := range names {
		w, err := scanWAL(filepath.Join(i.dir, engineName, name))
		if err != nil {
			i.broken(filepath.Join(engineName, name), "the file cannot be read: %v", err)
			continue
		}
		logs[n] = w
		if w.end > walHeader || w.rest > 0 {
			used = n
		}
		if w.first != 0 && (i.walFrom == 0 || w.first < i.walFrom) {
			i.walFrom = w.first
		}
	}
	for n, w := range logs {
		if w.rest == 0 {
			continue
		}
		name := names[n]
		i.rests = append(i.rests, walRest{name, w.end})
		if w.transactions > 1 || n < used {
			i.problem(filepath.Join(engineName, name), "it is damaged at byte %d: the engine would cut off what follows", w.end)
			continue
		}
		i.torn = w.rest
	}
	if i.hasState && !i.state.Clean && !i.state.Closing && !i.anyLog(names) {
		i.problem(engineName, "the write-ahead log is missing: what was appended last is gone")
	}
}

// anyFormat says whether a write-ahead log has the version of the store, which the very first transaction wrote.
func (i *inspection) anyFormat(names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		w, err := scanWAL(filepath.Join(i.dir, engineName, name))
		return err == nil && w.format
	})
}

// anyLog says whether there is a write-ahead log beside the one that was made in advance, which is empty.
func (i *inspection) anyLog(names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		info, err := os.Stat(filepath.Join(i.dir, engineName, name))
		return err == nil && info.Size() > 0
	})
}

// sound says whether nothing is wrong, as far as was looked.
func (i *inspection) sound() bool { return len(i.problems) == 0 }

// report is what Inspect and the first half of Open tell.
func (i *inspection) report() gateway.LogReport {
	problems := slices.Clone(i.problems)
	slices.SortStableFunc(problems, func(a, b gateway.LogProblem) int { return cmp.Compare(a.File, b.File) })
	return gateway.LogReport{Problems: problems, TornTail: i.torn}
}

// Inspect looks at the files of the log in dir, every byte of them, and changes nothing. It does not need the lock, but what a
// running gateway changes meanwhile looks like damage.
func Inspect(dir string) (gateway.LogReport, error) {
	if _, err := os.Stat(dir); err != nil {
		return gateway.LogReport{}, dirError(dir, err)
	}
	i, err := inspect(dir, true)
	if err != nil {
		return gateway.LogReport{}, err
	}
	if i.fresh {
		return gateway.LogReport{}, fmt.Errorf("there is no log in %s", dir)
	}
	return i.report(), nil
}

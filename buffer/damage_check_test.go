package buffer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gateway"
)

// What becomes of a damaged log.
const (
	servedAll  = "served all"
	withGaps   = "gaps"
	withTorn   = "torn tail"  // the newest write is gone, and said to be
	withUnseen = "short tail" // the newest writes are gone, and nothing in the files says that there were any
	refused    = "refused"    // until Repair
)

// verdict is what became of one damaged log.
type verdict struct {
	Shape   string
	Harm    harm
	Outcome string
	Refused bool // before that
	Restart bool // the log stopped, and the next start mended it
	Found   bool // by looking at it before it was opened
	Lost    int
	Took    time.Duration
	Faults  []string
}

// damaged is a log that is being checked.
type damaged struct {
	t     *testing.T
	dir   string
	truth damageTruth
	out   verdict
	words *strings.Builder // of its logger
	l     *Log
	told  gateway.LogReport // all that was reported
}

func (d *damaged) fault(format string, args ...any) {
	d.out.Faults = append(d.out.Faults, fmt.Sprintf(format, args...))
}

func (d *damaged) options() Options {
	return Options{Dir: d.dir, Logger: slog.New(slog.NewTextHandler(d.words, nil)), hooks: hooks{machine: func() string { return "" }}}
}

// run checks everything that is promised about a damaged log.
func (d *damaged) run() {
	d.look()
	before := snapshotOf(d.t, d.dir)
	if !d.open() {
		return
	}
	d.checkQuarantine(before)
	served, gone := d.readAll()
	if d.l == nil {
		return
	}
	d.judge(served, gone)
	d.checkCursors()
	d.checkKeys()
	last := d.checkAppend(served)
	d.close()
	d.again(served, last)
	for _, broken := range brokenInvariants(d.dir, nil, true) {
		d.fault("invariants: %s", broken)
	}
}

// look is Verify on a picture of the log. It changes nothing.
func (d *damaged) look() {
	before := snapshotOf(d.t, d.dir)
	defer func() {
		if after := snapshotOf(d.t, d.dir); !maps.EqualFunc(before, after, slices.Equal) {
			d.fault("looking at the log changed its files")
		}
	}()
	o := d.options()
	o.ReadOnly = true
	l, err := Open(o)
	if err != nil {
		var damage *DamageError
		if !errors.As(err, &damage) {
			d.fault("open to look: %v, want a *DamageError", err)
		}
		d.out.Found = true
		return
	}
	report, err := l.Verify(testContext(d.t), nil)
	if err != nil {
		d.fault("verify: %v", err)
	}
	opened := l.Report()
	d.out.Found = !report.Sound() || opened.TornTail > 0 || !opened.Sound()
	if err := l.Close(); err != nil {
		d.fault("close what was looked at: %v", err)
	}
}

// snapshotOf is the content of the files below dir.
func snapshotOf(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, names := range filesByKind(t, dir) {
		for _, name := range names {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			files[name] = b
		}
	}
	return files
}

// open opens the log, after a repair if it is refused.
func (d *damaged) open() bool {
	l, err := Open(d.options())
	if err != nil {
		var damage *DamageError
		if !errors.As(err, &damage) {
			d.fault("open: %v, want a *DamageError", err)
			return false
		}
		if want := "gateway log repair --data-dir " + d.dir; !strings.HasSuffix(err.Error(), want) || strings.Count(err.Error(), "gateway log") != 1 {
			d.fault("open: %q does not end with the one command %q", err, want)
		}
		d.out.Refused = true
		d.note(damage.Report)
		report, err := Repair(testContext(d.t), RepairOptions{Dir: d.dir})
		if err != nil {
			d.fault("repair: %v", err)
			return false
		}
		d.note(report)
		if l, err = Open(d.options()); err != nil {
			d.fault("open after the repair: %v", err)
			return false
		}
	}
	d.l = l
	d.note(l.Report())
	return true
}

// note adds up what was reported.
func (d *damaged) note(r gateway.LogReport) {
	d.told.Problems = append(d.told.Problems, r.Problems...)
	d.told.Gone = append(d.told.Gone, r.Gone...)
	d.told.TornTail += r.TornTail
	if r.Quarantine != "" {
		d.told.Quarantine = r.Quarantine
	}
}

func (d *damaged) close() {
	if d.l == nil {
		return
	}
	if err := d.l.Close(); err != nil {
		d.fault("close: %v", err)
	}
	d.l = nil
}

// checkQuarantine: the damaged file is kept as it was, if a new store was made; the pieces of it, if there is one.
func (d *damaged) checkQuarantine(before map[string][]byte) {
	report := d.l.Report()
	if report.Quarantine == "" {
		return
	}
	if _, err := os.Stat(filepath.Join(report.Quarantine, reportName)); err != nil {
		d.fault("quarantine: %v", err)
	}
	opened := func(p gateway.LogProblem) bool { return strings.Contains(p.Text, "cannot be opened") }
	if report.Repaired.IsZero() || slices.ContainsFunc(report.Problems, opened) { // after the engine had changed its files
		return
	}
	for name, content := range before {
		if filepath.Dir(name) != engineName || filepath.Base(name) == lockName || len(content) == 0 { // the engine makes the one anew, and nothing is in the other
			continue
		}
		kept, err := os.ReadFile(filepath.Join(report.Quarantine, name))
		if err != nil || !slices.Equal(kept, content) {
			d.fault("quarantine: %s is not kept as it was: %v", name, err)
		}
	}
}

// readAll reads the log from its beginning, restarting it where it stops. gone are the gaps that it was given.
func (d *damaged) readAll() (served map[gateway.Offset]gateway.Entry, gone []gateway.Gap) {
	for range 3 {
		var err error
		if served, gone, err = d.read(); err == nil {
			return served, gone
		}
		if d.l.failed() == nil {
			d.fault("read: %v", err)
			return served, gone
		}
		d.out.Restart = true
		_ = d.l.Close() // it has stopped
		d.l = nil
		if !d.open() {
			return nil, nil
		}
	}
	d.fault("the log stops again and again")
	return served, gone
}

func (d *damaged) read() (served map[gateway.Offset]gateway.Entry, gone []gateway.Gap, err error) {
	served = map[gateway.Offset]gateway.Entry{}
	r := d.l.NewReader(0)
	defer r.Close()
	end := d.l.durable()
	for at := gateway.Offset(0); at < end && at < d.l.durable(); {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		entries, err := r.Next(ctx, 1000)
		cancel()
		if err != nil {
			return served, gone, fmt.Errorf("behind %d of %d: %w", at, end, err)
		}
		for i := range entries {
			e := &entries[i]
			if e.Offset <= at {
				return served, gone, fmt.Errorf("offset %d follows %d", e.Offset, at)
			}
			at = e.Offset
			if e.Event.Type == gateway.TypeGap {
				var g gateway.Gap
				if err := json.Unmarshal(e.Event.Data, &g); err != nil {
					return served, gone, err
				}
				gone = append(gone, g)
				continue
			}
			served[e.Offset] = *e
		}
	}
	return served, gone, nil
}

// judge compares what was served with what is true.
func (d *damaged) judge(served map[gateway.Offset]gateway.Entry, gone []gateway.Gap) {
	s := d.l.Status()
	gaps := slices.Concat(gone, s.Gaps, d.told.Gone)
	tail := 0
	for n := d.truth.First; n <= d.truth.Last; n++ {
		e, ok := served[n]
		switch {
		case ok:
			d.checkEvent(&e)
		case covered(d.truth.Gaps, gateway.Gap{From: n, To: n}) && covered(gaps, gateway.Gap{From: n, To: n}):
		case covered(gaps, gateway.Gap{From: n, To: n}):
			d.out.Lost++
		case n > s.Last:
			tail++
		default:
			d.fault("offset %d is neither served nor in a gap (log %d to %d, gaps %v, report %+v)", n, s.First, s.Last, gaps, d.told)
			return
		}
	}
	for _, e := range served {
		d.checkEvent(&e)
	}
	switch {
	case tail > 0 && d.told.TornTail == 0 && len(d.told.Problems) == 0:
		d.out.Outcome = withUnseen
		if d.truth.Clean || d.out.Harm.Kind != walSuffix && !strings.HasSuffix(d.out.Harm.Note, walSuffix) {
			d.fault("%d events at the end are gone, and nothing is said", tail)
		}
	case tail > 0:
		d.out.Outcome = withTorn
	case d.out.Lost > 0:
		d.out.Outcome = withGaps
		if !strings.Contains(d.words.String(), "events are gone") && !strings.Contains(d.words.String(), "events of the log are gone") && !d.out.Refused {
			d.fault("the gaps are not in the log's words: %s", d.words)
		}
	default:
		d.out.Outcome = servedAll
	}
	d.out.Lost += tail
	if d.out.Harm.What == harms[0].name && d.out.Lost > d.truth.Batch {
		d.fault("%d events are lost by one bit; a block has %d at most", d.out.Lost, d.truth.Batch)
	}
	if d.truth.Clean && tail > 0 {
		d.fault("%d events at the end of a log that was closed are gone, and not in a gap", tail)
	}
}

// checkEvent: it is what was appended at that offset.
func (d *damaged) checkEvent(e *gateway.Entry) {
	want := damageEvent(e.Offset, d.truth.Size)
	if want.ID == "" && e.Offset > d.truth.Last { // of whatever process appended it
		want.ID = e.Event.ID
	}
	if want.ID == "" {
		want.ID = gateway.EventID(d.truth.LogID, d.truth.Epoch, e.Offset)
	}
	if want.Time.IsZero() {
		want.Time = e.Received
	}
	if !want.Time.Equal(e.Event.Time) {
		d.fault("offset %d has time %s, want %s", e.Offset, e.Event.Time, want.Time)
	}
	got := e.Event
	got.Time = want.Time
	got.Extensions = maps.Clone(got.Extensions)
	delete(got.Extensions, gateway.ExtClock) // the log says so where its clock was not synchronised
	if len(got.Extensions) == 0 {
		got.Extensions = nil
	}
	if !reflect.DeepEqual(got, want) && len(d.out.Faults) < 5 {
		same := bytes.Equal(got.Data, want.Data)
		got.Data, want.Data = nil, nil
		d.fault("offset %d is altered: got %+v, want %+v; the data are the same: %t", e.Offset, got, want, same)
	}
}

// wasTold says whether anything was said to be wrong.
func (d *damaged) wasTold() bool { return !d.told.Sound() || d.told.TornTail > 0 }

func (d *damaged) checkCursors() {
	s := d.l.Status()
	for name, at := range s.Cursors {
		if at > s.Last || at > max(d.truth.Cursors[name], d.truth.Last) {
			d.fault("cursor %s is at %d, it was at %d, the log ends at %d", name, at, d.truth.Cursors[name], s.Last)
		}
	}
	for name, want := range d.truth.Cursors {
		if at, ok := s.Cursors[name]; (!ok || at < want) && !d.wasTold() && d.out.Outcome != withUnseen {
			d.fault("cursor %s is at %d, it was at %d, and nothing is said", name, at, want)
		}
	}
}

func (d *damaged) checkKeys() {
	got := map[string]string{}
	if err := d.l.Scan("", func(key string, value []byte) error { got[key] = string(value); return nil }); err != nil {
		d.fault("scan: %v", err)
	}
	excused := d.wasTold() || d.out.Outcome == withUnseen
	for key, value := range got {
		if value != d.truth.Keys[key] && (!slices.Contains(d.truth.Old[key], value) || !excused) {
			d.fault("key %s has %q, want %q", key, value, d.truth.Keys[key])
		}
	}
	for key, value := range d.truth.Keys {
		if _, ok := got[key]; !ok && !excused {
			d.fault("key %s is gone, want %q", key, value)
		}
	}
}

// checkAppend appends, and returns the last offset. No ID and, but for a tail that nobody knows of, no offset is given twice.
func (d *damaged) checkAppend(served map[gateway.Offset]gateway.Entry) gateway.Offset {
	before := d.l.Status()
	last, err := d.l.Append(testContext(d.t), event("a"), event("b"), event("c"))
	if err != nil {
		d.fault("append: %v", err)
		return before.Last
	}
	if last != before.Last+3 || last-3 < d.truth.Last && d.out.Outcome != withTorn && d.out.Outcome != withUnseen {
		d.fault("the events are appended up to %d, the log went to %d, and to %d before the damage", last, before.Last, d.truth.Last)
	}
	if d.out.Lost > 0 && d.l.epoch == d.truth.Epoch {
		for _, e := range readTo(d.t, d.l, last-3, last) {
			if e.Offset <= d.truth.Last {
				d.fault("events are lost, and the ID %s is given again", e.Event.ID)
			}
		}
	}
	return last
}

// again opens the log once more: nothing is wrong with it, and it has what it had.
func (d *damaged) again(served map[gateway.Offset]gateway.Entry, last gateway.Offset) {
	d.words.WriteString("opened again:\n")
	l, err := Open(d.options())
	if err != nil {
		d.fault("open again: %v", err)
		return
	}
	d.l = l
	defer d.close()
	if r := l.Report(); !r.Sound() || r.TornTail != 0 || r.Quarantine != "" {
		d.fault("opened again, it reports %+v", r)
	}
	now, _, err := d.read()
	if err != nil {
		d.fault("read again: %v", err)
	}
	for n, e := range served {
		if got, ok := now[n]; n >= l.Status().First && (!ok || !reflect.DeepEqual(e, got)) {
			d.fault("offset %d, read again, is %+v (%t), it was %+v", n, got, ok, e)
			return
		}
	}
	if l.durable() != last {
		d.fault("opened again, it ends at %d, want %d", l.durable(), last)
	}
	if report, err := l.Verify(testContext(d.t), nil); err != nil || !report.Sound() {
		d.fault("opened again, verify finds %+v, %v", report, err)
	}
}

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"gateway/test/powercut/found"
	"gateway/test/powercut/writelog"
)

// tally is what a campaign came to.
type tally struct {
	// cuts are disks of guests that were killed, seen by the next boot; bare and partly are rebuilt disks, without anything unflushed and
	// with some of it, read on the host; booted are rebuilt disks that a guest was booted from.
	cuts, bare, partly, booted disks
	entries, flushes           uint64
	leftOut                    uint64 // writes, over all rebuilt disks
	notes                      map[string]int
	failures                   []string
}

// disks counts the disks of one kind.
type disks struct {
	seen, losing int // losing: with an acknowledged event missing
	due, missing uint64
	gaps         uint64 // that the log itself reported
	opened       int
	notes        map[string]int
}

func newTally() tally {
	notes := map[string]int{}
	kind := disks{notes: notes}
	return tally{cuts: kind, bare: kind, partly: kind, booted: kind, notes: notes}
}

func (d *disks) add(f *found.Found, j judgement) {
	d.seen++
	d.due += j.due
	d.missing += j.missing
	d.gaps += f.Gaps
	if j.missing > 0 {
		d.losing++
	}
	if f.Error == "" {
		d.opened++
	}
	for _, n := range f.Notes {
		d.notes[n]++
	}
}

func (d *disks) text() string {
	return fmt.Sprintf("%d of %d opened, %d lost something: %d of %d acknowledged events missing", d.opened, d.seen, d.losing, d.missing, d.due)
}

// fail keeps what broke a promise.
func (t *tally) fail(format string, args ...any) {
	t.failures = append(t.failures, fmt.Sprintf(format, args...))
}

// requests counts the entries of a write log.
func (t *tally) requests(entries []writelog.Entry) {
	t.entries += uint64(len(entries))
	for _, e := range entries {
		if e.Flags&writelog.Flush != 0 {
			t.flushes++
		}
	}
}

// line is for the progress.
func (t *tally) line() string {
	return fmt.Sprintf("%d of %d reboots and %d of %d rebuilt disks lost something; %d failures",
		t.cuts.losing, t.cuts.seen, t.bare.losing+t.partly.losing, t.bare.seen+t.partly.seen, len(t.failures))
}

// text is the result of a campaign.
func (t *tally) text(mode string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:\n", mode)
	fmt.Fprintf(&b, "  machine killed under load, booted again, read in it:        %s\n", t.cuts.text())
	fmt.Fprintf(&b, "  disk rebuilt, all unflushed left out, read on the host:     %s\n", t.bare.text())
	fmt.Fprintf(&b, "  disk rebuilt, some unflushed kept or torn, on the host:     %s\n", t.partly.text())
	if t.booted.seen > 0 {
		fmt.Fprintf(&b, "  of these booted and read in the machine as well:            %s\n", t.booted.text())
	}
	if n := t.bare.seen + t.partly.seen; n > 0 {
		fmt.Fprintf(&b, "  write log: %d requests, %d flushes; a rebuilt disk had %.1f unflushed writes to lose\n", t.entries, t.flushes, float64(t.leftOut)/float64(n))
	}
	if gaps := t.cuts.gaps + t.bare.gaps + t.partly.gaps + t.booted.gaps; gaps > 0 {
		fmt.Fprintf(&b, "  gaps that the log reported: %d\n", gaps)
	}
	for _, note := range slices.Sorted(maps.Keys(t.notes)) {
		fmt.Fprintf(&b, "  the log said %d times: %s\n", t.notes[note], note)
	}
	for _, f := range t.failures {
		fmt.Fprintf(&b, "  FAILED %s\n", f)
	}
	return b.String()
}

// text says what is wrong.
func (j *judgement) text(f *found.Found) string {
	parts := []string{fmt.Sprintf("%d of %d acknowledged events missing, %d never sent, %d altered, %d out of order, %d twice, %d foreign",
		j.missing, j.due, j.invented, f.Altered, f.Disordered, f.Twice, f.Foreign)}
	if f.First > 1 {
		parts = append(parts, fmt.Sprintf("the log begins at offset %d", f.First))
	}
	if f.Error != "" {
		parts = append(parts, f.Error)
	}
	return strings.Join(append(parts, j.examples...), "; ")
}

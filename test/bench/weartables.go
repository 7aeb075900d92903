package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gateway/test/rig"
)

// enduranceAssumed is what a card takes in its life, in bytes, in the tables: nobody prints it on a card.
const enduranceAssumed = 10e12

const yearSeconds = 365.25 * 86400

// wearTables measures what systems write for an event, and makes a section of the document of it.
func (b *bench) wearTables(ctx context.Context) ([]line, error) {
	cells, err := b.wearCells(ctx)
	if err != nil {
		return nil, err
	}
	section := b.wearSection(cells)
	b.sections = append(b.sections, section)
	if b.flashFile != "" {
		if err := rig.ReplaceSection(b.flashFile, sectionName, b.machine(ctx)+"\n"+section); err != nil {
			return nil, err
		}
	}
	return wearLines(cells), nil
}

// onDisks says whether the cells had disks of their own.
func onDisks(cells []*cell) bool {
	return slices.ContainsFunc(cells, func(c *cell) bool { return c.device > 0 })
}

func allRates() []float64 { return slices.Concat(slowRates, fastRates) }

// find is the cell of a system at a rate.
func find(cells []*cell, system int, rate float64, down bool) *cell {
	i := slices.IndexFunc(cells, func(c *cell) bool { return c.system == system && c.rate == rate && c.down == down })
	return cells[i]
}

// wearLines are for the main table: ours at each rate, beside SQLite, which keeps as much.
func wearLines(cells []*cell) (lines []line) {
	all := systems()
	peer := slices.IndexFunc(all, func(s system) bool { return s.name == "SQLite" })
	for _, rate := range allRates() {
		l := line{load: fmt.Sprintf("bytes written for an event, %g a second, commit_interval 0s, 1s, 10s", rate), verdict: reported}
		var ours []string
		for i, s := range all {
			c := find(cells, i, rate, false)
			if s.name == "this gateway" {
				ours = append(ours, c.text())
			}
			if c.err != nil && (s.name == "this gateway" || !missing(c.err)) {
				l.verdict = notMeasured
				l.details = append(l.details, fmt.Sprintf("%s, %s: %v", s.name, s.setting, c.err))
			}
		}
		mine, theirs := find(cells, 0, rate, false), find(cells, peer, rate, false)
		l.ours, l.peer = strings.Join(ours, ", "), "SQLite (WAL, FULL, a transaction an event) "+theirs.text()
		if mine.err == nil && theirs.err == nil {
			l.ratio = times(ratio(mine.perEvent(), theirs.perEvent()))
		}
		lines = append(lines, l)
	}
	return lines
}

// text is the bytes an event, or a dash.
func (c *cell) text() string {
	if c.err != nil {
		return "–"
	}
	return thousands(c.perEvent())
}

func (b *bench) wearSection(cells []*cell) string {
	var t strings.Builder
	fmt.Fprintf(&t, "## What an event costs the card\n\nOne device publishes 128-byte JSON readings with QoS 1 at a steady rate, %s a cell (%s at 1 and 10 a second); a consumer that is\n"+
		"there takes them at once, so that what was delivered is deleted. SQLite: the sqlite3 program, fed through its standard input; each\n"+
		"transaction inserts, and deletes what the one before inserted. At 1 and 10 a second all systems ran side by side, otherwise in turn.\n\n", b.wearTime, slowFactor*b.wearTime)
	if onDisks(cells) {
		t.WriteString("Bytes that were written to the block device for an event; in brackets for a byte of payload. Each system has an ext4 filesystem of its own\n" +
			"on a loop device, whose counter (sectors written, `/sys/block/loopN/stat`) has the filesystem's journal and metadata in it. ")
	} else {
		t.WriteString("Bytes that the process had written for an event, by the kernel's count (`/proc/PID/io`); in brackets for a byte of payload. The filesystem's\n" +
			"journal is not in it: it takes root to mount a loop device for each system, whose counter has that. ")
	}
	t.WriteString("Last\ncolumn: 100 a second while nobody takes the events, so that they pile up.\n\n")
	t.WriteString(table(cells, append(allRates(), -downRate), func(c *cell) string {
		return fmt.Sprintf("%s (%.1f)", thousands(c.perEvent()), c.perByte())
	}))
	fmt.Fprintf(&t, "\nYears that a card lasts which can take %g TB, under that load day and night, by the same count:\n\n", enduranceAssumed/1e12)
	t.WriteString(table(cells, allRates(), func(c *cell) string {
		return years(ratio(enduranceAssumed, c.perEvent()*c.rate*yearSeconds))
	}))
	if onDisks(cells) {
		t.WriteString("\nWhat the process had written for an event, by the kernel's count (`/proc/PID/io`), which is what a running gateway can know of itself; in\n" +
			"brackets how many times that the device was written:\n\n")
		t.WriteString(table(cells, allRates(), func(c *cell) string {
			perEvent := ratio(float64(c.written), float64(c.Sent))
			if perEvent < 10 { // nearly nothing: how many times that says nothing
				return thousands(perEvent)
			}
			return fmt.Sprintf("%s (%.1f×)", thousands(perEvent), ratio(float64(c.device), float64(c.written)))
		}))
	}
	t.WriteString("\nWhat a power cut costs at most:\n\n| system | setting | lost |\n|---|---|---|\n")
	for _, s := range systems() {
		fmt.Fprintf(&t, "| %s | %s | %s |\n", s.name, s.setting, s.cut)
	}
	t.WriteString(notes(cells))
	return t.String()
}

// table has a line for each system and a column for each rate; a negative one is that of the cells where nobody takes events.
func table(cells []*cell, rates []float64, show func(*cell) string) string {
	var t strings.Builder
	t.WriteString("| system | setting |")
	for _, rate := range rates {
		if rate < 0 {
			fmt.Fprintf(&t, " %g/s, piling up |", -rate)
			continue
		}
		fmt.Fprintf(&t, " %s/s |", thousands(rate))
	}
	t.WriteString("\n|---|---|" + strings.Repeat("---:|", len(rates)) + "\n")
	for i, s := range systems() {
		fmt.Fprintf(&t, "| %s | %s |", s.name, s.setting)
		for _, rate := range rates {
			text := "–"
			if c := find(cells, i, max(rate, -rate), rate < 0); c.err == nil {
				text = show(c)
			}
			fmt.Fprintf(&t, " %s |", text)
		}
		t.WriteString("\n")
	}
	return t.String()
}

// notes say what was not measured and why, and what did not keep up.
func notes(cells []*cell) string {
	var t strings.Builder
	for _, c := range cells {
		s := systems()[c.system]
		switch {
		case c.err != nil:
			fmt.Fprintf(&t, "- Not measured: %s, %s, %g a second: %s\n", s.name, s.setting, c.rate, strings.ReplaceAll(c.err.Error(), "\n", " "))
		case c.late:
			fmt.Fprintf(&t, "- %s, %s, did not keep up with %g a second: it took %.0f.\n", s.name, s.setting, c.rate, c.PerSecond)
		}
	}
	if t.Len() == 0 {
		return ""
	}
	return "\n" + t.String()
}

// years is short where more digits mean nothing. Nothing written is no years: nothing was measured.
func years(y float64) string {
	switch {
	case y <= 0:
		return "–"
	case y > 1000:
		return "> 1,000"
	case y >= 10:
		return fmt.Sprintf("%.0f", y)
	case y >= 1:
		return fmt.Sprintf("%.1f", y)
	default:
		return fmt.Sprintf("%.2f", y)
	}
}

func thousands(v float64) string {
	n := int64(v + 0.5)
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(float64(n/1000)), n%1000)
}

// sectionName is of the section of the document that explains the tables.
const sectionName = "make bench"

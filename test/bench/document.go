package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// line is one line of the table.
type line struct {
	load, ours, peer, ratio, target, verdict string
	details                                  []string // for the list below the table
}

// Verdicts.
const (
	met      = "met"
	missed   = "**missed**"
	reported = "reported"
)

func verdict(ok bool) string {
	if ok {
		return met
	}
	return missed
}

// notMeasured is the verdict of a row that failed.
const notMeasured = "not measured"

// document runs the rows and returns the Markdown, and how many lines could not be measured. A row that fails is named in
// it, and the others follow.
func (b *bench) document(ctx context.Context, selected []row, quick bool) (string, int) {
	var table, details strings.Builder
	counts := map[string]int{}
	for _, r := range selected {
		b.say("row %s", r.name)
		lines, err := r.run(ctx, b)
		if err != nil {
			lines = append(lines, line{load: r.name, verdict: notMeasured, details: []string{err.Error()}})
		}
		for _, l := range lines {
			text := fmt.Sprintf("| %s | %s | %s | %s | %s | %s |\n", l.load, l.ours, l.peer, l.ratio, l.target, l.verdict)
			fmt.Fprint(&table, text)
			b.say("%s", strings.TrimSpace(text))
			counts[l.verdict]++
			for _, d := range l.details {
				fmt.Fprintf(&details, "- %s: %s\n", l.load, strings.ReplaceAll(d, "\n", " "))
			}
		}
	}
	var doc strings.Builder
	doc.WriteString("# Benchmarks\n\nMade by `make bench`. Medians of the rounds; this gateway and its peers run in turn, on loopback, each with a fresh data\n" +
		"directory on the same filesystem, with one load program in a process of its own. QoS 1, 128-byte JSON readings of 20\n" +
		"devices, PUBACK after the sync here; Mosquitto in memory; NATS with JetStream and `sync_interval: always`.\n\n")
	if quick {
		doc.WriteString("**A quick run: one short round with few events. The numbers mean nothing.**\n\n")
	}
	doc.WriteString(b.machine(ctx) + fmt.Sprintf("- %d rounds of %s after %s of warm-up\n\n", b.rounds, b.duration, b.warmup))
	doc.WriteString("| load | this gateway | peer | ratio | target | |\n|---|---|---|---|---|---|\n" + table.String())
	fmt.Fprintf(&doc, "\n%d met, %d missed, %d not measured, %d without a target.\n\n## Details\n\n%s", counts[met], counts[missed], counts[notMeasured], counts[reported], details.String())
	for _, section := range b.sections {
		doc.WriteString("\n" + section)
	}
	return doc.String(), counts[notMeasured]
}

func perSecond(v float64) string {
	switch {
	case v >= 10_000:
		return fmt.Sprintf("%d,%03d/s", int(v)/1000, int(v)%1000)
	default:
		return fmt.Sprintf("%.0f/s", v)
	}
}

func millis(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000) }

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

func times(r float64) string { return fmt.Sprintf("%.2f×", r) }

package demo

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// painter turns frames into lines of text.
type painter struct {
	color bool
	peak  float64 // the highest rate so far, for the length of the bars
}

// Styles, as the parameters of an ANSI sequence.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

func (p *painter) style(style, text string) string {
	if !p.color || text == "" {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// stateStyle is the colour of a state of the line.
func stateStyle(state string) string {
	switch state {
	case lineUp:
		return green
	case lineCut:
		return red
	}
	return yellow
}

// paint returns at most height lines of at most width columns.
func (p *painter) paint(f frame, width, height int) []string {
	lines := append([]string{p.title(f), ""}, p.sensors(f)...)
	lines = append(lines, "", p.lineState(f))
	lines = append(lines, p.flow(f, width)...)
	lines = append(lines, "")
	foot := []string{p.soFar(f), ""}
	if f.phase == phaseRunning {
		foot[1] = p.style(dim, " Ctrl-C stops the sensors, delivers the rest and prints the ledger")
	}
	if rows := min(height-len(lines)-len(foot)-2, 8); rows > 0 {
		lines = append(lines, p.chart(f.history, width, rows)...)
	}
	lines = append(lines, foot...)
	lines = lines[:min(len(lines), height)]
	for i, line := range lines {
		lines[i] = clip(line, width)
	}
	return lines
}

func (p *painter) title(f frame) string {
	clock := minutes(f.elapsed)
	if f.length > 0 && f.phase == phaseRunning {
		clock += " of " + minutes(f.length)
	}
	return " " + p.style(bold, "gateway demo") + "   " + p.style(cyan, f.phase) + "   " + clock
}

func (p *painter) sensors(f frame) []string {
	lines := []string{p.style(dim, fmt.Sprintf(" %-9s %-24s %13s %9s", "sensor", "last reading", "acknowledged", "waiting"))}
	for _, s := range f.sensors {
		reading := s.reading + strings.Repeat(" ", max(24-utf8.RuneCountInString(s.reading), 0))
		lines = append(lines, fmt.Sprintf(" %-9s %s %13s %9s", s.name, p.style(bold, reading), number(s.acked), number(s.waiting)))
	}
	return lines
}

func (p *painter) lineState(f frame) string {
	state := fmt.Sprintf("● %-6s", strings.ToUpper(f.line))
	text := fmt.Sprintf(" line      %s for %4.1f s  ", p.style(stateStyle(f.line)+";"+bold, state), f.lineFor.Seconds())
	for _, t := range troubles {
		if n := f.cuts[t]; n > 0 {
			text += p.style(stateStyle(t), fmt.Sprintf("  %d× %s", n, t))
		}
	}
	return text
}

// flow shows what comes in, what goes out and what waits between.
func (p *painter) flow(f frame, width int) []string {
	p.peak = max(p.peak, f.in, f.out, 1)
	bar := func(rate float64, style string) string {
		return p.style(style, strings.Repeat("█", int(rate/p.peak*float64(max(width-24, 0)))))
	}
	waiting := fmt.Sprintf(" waiting   %7s     oldest for %.1f s, forwarder %s", number(f.waiting), f.lag.Seconds(), f.forwarder)
	if f.trouble != "" {
		waiting += p.style(dim, ": "+f.trouble)
	}
	return []string{
		fmt.Sprintf(" in        %7.0f /s  %s", f.in, bar(f.in, cyan)),
		fmt.Sprintf(" out       %7.0f /s  %s", f.out, bar(f.out, green)),
		waiting,
	}
}

func (p *painter) soFar(f frame) string {
	a := f.account
	text := fmt.Sprintf(" so far    %s acknowledged, %s arrived, %s on the way, %s sent again", number(a.Acknowledged), number(a.Received), number(f.missing), number(a.SentAgain))
	if bad := a.Duplicates + a.OutOfOrder + f.strays; bad > 0 {
		text += p.style(red, fmt.Sprintf(", %s duplicates, %s out of order, %s from nowhere", number(a.Duplicates), number(a.OutOfOrder), number(f.strays)))
	}
	return text
}

// chart draws the backlog over time, now at the right, and under it the state of the line.
func (p *painter) chart(history []moment, width, rows int) []string {
	const label = 11
	columns := max(width-label-1, 1)
	history = history[max(len(history)-columns, 0):]
	peak := uint64(1)
	for _, m := range history {
		peak = max(peak, m.waiting)
	}
	lines := make([]string, 0, rows+2)
	for row := rows - 1; row >= 0; row-- {
		name := ""
		switch row {
		case rows - 1:
			name = number(peak)
		case 0:
			name = "backlog"
		}
		line := p.style(dim, fmt.Sprintf(" %*s │", label-3, name))
		line += strings.Repeat(" ", columns-len(history))
		for _, m := range history {
			line += p.style(stateStyle(m.line), block(m.waiting, peak, row, rows))
		}
		lines = append(lines, line)
	}
	strip := p.style(dim, fmt.Sprintf(" %*s │", label-3, "line")) + strings.Repeat(" ", columns-len(history))
	for _, m := range history {
		strip += p.style(stateStyle(m.line), lineMark(m.line))
	}
	return append(lines, strip, "")
}

// block is the part of a bar that falls into a row, counted from below, in eighths.
func block(value, peak uint64, row, rows int) string {
	eighths := int((value*uint64(rows)*8 + peak - 1) / peak)
	return [...]string{" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"}[min(max(eighths-row*8, 0), 8)]
}

func lineMark(state string) string {
	switch state {
	case lineUp:
		return "─"
	case lineCut:
		return "×"
	case lineSilent:
		return "·"
	}
	return "!"
}

// minutes writes d as 1:05.
func minutes(d time.Duration) string {
	s := int(d.Seconds())
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// clip cuts a line behind width columns. ANSI sequences take none, every other character one.
func clip(line string, width int) string {
	columns, escape, styled := 0, false, false
	for i, r := range line {
		switch {
		case r == '\x1b':
			escape, styled = true, true
		case escape:
			escape = r != 'm'
		case columns == width:
			if styled {
				return line[:i] + "\x1b[0m"
			}
			return line[:i]
		default:
			columns++
		}
	}
	return line
}

package main

import (
	"bufio"
	"io"
	"strconv"
	"strings"

	"gateway"
)

// eventTable writes entries as lines of a table. The first rows decide how wide the columns are.
type eventTable struct {
	w     *bufio.Writer
	width int // of the terminal; 0: there is none, and nothing is cut off
	rows  [][]string
	// widths of the columns; nil: not decided yet.
	widths []int
}

func newEventTable(w io.Writer, width int) *eventTable {
	return &eventTable{w: bufio.NewWriter(w), width: width}
}

const (
	// tableRows decide the widths.
	tableRows = 200
	// previewWidth is how much of the data a table shows that is not for a terminal.
	previewWidth = 160
	// columnGap is between two columns.
	columnGap = 2
)

var tableTitles = []string{"OFFSET", "RECEIVED", "TOPIC", "SOURCE", "TYPE", "SIZE", "DATA"}

// tableLeast are the widths below which no column is cut, and tableRight says which stand on the right.
var (
	tableLeast = []int{0, 0, 8, 8, 8, 0, 12}
	tableRight = []bool{true, false, false, false, false, true, false}
)

// add takes an entry.
func (t *eventTable) add(e *gateway.Entry) error {
	t.rows = append(t.rows, tableRow(e))
	if t.widths == nil && len(t.rows) < tableRows {
		return nil
	}
	return t.flush()
}

// flush writes what was added.
func (t *eventTable) flush() error {
	if len(t.rows) > 0 && t.widths == nil {
		t.widths = layout(t.rows, t.width)
		t.line(tableTitles)
	}
	for _, row := range t.rows {
		t.line(row)
	}
	t.rows = t.rows[:0]
	return t.w.Flush()
}

// line writes cells in their columns.
func (t *eventTable) line(cells []string) {
	var b strings.Builder
	for i, cell := range cells {
		if t.width > 0 && tableLeast[i] > 0 {
			cell = oneLine(cell, t.widths[i])
		}
		pad := strings.Repeat(" ", max(0, t.widths[i]-columns(cell)))
		switch {
		case tableRight[i]:
			b.WriteString(pad + cell)
		case i == len(cells)-1:
			b.WriteString(cell)
		default:
			b.WriteString(cell + pad)
		}
		if i < len(cells)-1 {
			b.WriteString(strings.Repeat(" ", columnGap))
		}
	}
	_, _ = t.w.WriteString(oneLine(strings.TrimRight(b.String(), " "), t.width) + "\n") // Flush tells of errors
}

// tableRow are the cells of an entry.
func tableRow(e *gateway.Entry) []string {
	return []string{
		strconv.FormatUint(uint64(e.Offset), 10), clockTime(e.Received), oneLine(e.Event.Topic(), 0),
		shortSource(e.Event.Source), oneLine(e.Event.Type, 0), strconv.Itoa(len(e.Event.Data)), preview(e.Event.Data, previewWidth),
	}
}

// shortSource is a source without what all events of a gateway have in common: "//greenhouse-1/mqtt/esp32" is "mqtt/esp32".
func shortSource(source string) string {
	if rest, ok := strings.CutPrefix(source, "//"); ok {
		if _, path, ok := strings.Cut(rest, "/"); ok && path != "" {
			source = path
		}
	}
	return oneLine(source, 0)
}

// layout gives each column what its widest cell takes and, where that is more than the terminal has, takes from the
// widest until it fits or nothing can be taken.
func layout(rows [][]string, width int) []int {
	widths := make([]int, len(tableTitles))
	sum := columnGap * (len(widths) - 1)
	for i, title := range tableTitles {
		widths[i] = columns(title)
		for _, row := range rows {
			widths[i] = max(widths[i], columns(row[i]))
		}
		sum += widths[i]
	}
	for ; width > 0 && sum > width; sum-- {
		widest := -1
		for i, least := range tableLeast {
			if least > 0 && widths[i] > least && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return widths
}

package devices

import (
	"fmt"
	"strings"
	"unicode"
)

// Text is what people read: what there is, and the lines for the configuration.
func (f *Found) Text() string {
	var b strings.Builder
	for _, c := range f.Chips {
		fmt.Fprintf(&b, "%s  %s, %d lines\n", printable(c.Name), orDash(c.Label), len(c.Lines))
		for _, l := range c.Lines {
			fmt.Fprintf(&b, "  %3d  %-16s %s\n", l.Offset, orDash(l.Name), l.text())
		}
	}
	for _, bus := range f.Buses {
		fmt.Fprintf(&b, "i2c-%s  %s\n", bus.Number, orDash(bus.Name))
		for _, c := range bus.Chips {
			fmt.Fprintf(&b, "  0x%02x  %s\n", c.Address, c.text())
		}
		switch {
		case bus.Problem != "":
			fmt.Fprintf(&b, "  %s\n", printable(bus.Problem))
		case len(bus.Chips) == 0:
			b.WriteString("  nothing answers: check power, wiring and pull-up resistors\n")
		}
		if len(bus.Skipped) > 0 && bus.Problem == "" {
			fmt.Fprintf(&b, "  not asked about %s: this adapter cannot do it safely, and what is there does not show\n", hexList(bus.Skipped))
		}
	}
	for _, p := range f.Probes {
		fmt.Fprintf(&b, "1-Wire  %s  %s\n", printable(p.ID), printable(p.text()))
	}
	if len(f.Board) > 0 {
		fmt.Fprintf(&b, "board  %s\n", strings.Join(f.Board, ", "))
	}
	for _, p := range f.Problems {
		fmt.Fprintf(&b, "%s\n", printable(p))
	}
	if len(f.Config) > 0 {
		b.WriteString("\nFor the configuration (what is at an address is a guess, and the pin an example):\n\ndevices:\n")
		for _, l := range f.Config {
			b.WriteString("  - " + printable(l) + "\n")
		}
	}
	return b.String()
}

func (a *FoundAddress) text() string {
	if a.Kernel != "" {
		return "in use by the kernel's driver " + printable(a.Kernel)
	}
	var parts []string
	if len(a.Drivers) > 0 {
		parts = append(parts, "may be: "+strings.Join(a.Drivers, ", "))
	}
	if len(a.Known) > 0 {
		parts = append(parts, "with no driver here: "+strings.Join(a.Known, ", "))
	}
	if len(parts) == 0 {
		return "an unknown chip"
	}
	return strings.Join(parts, "; or, ")
}

func (l *FoundLine) text() string {
	if l.Used {
		return l.Direction + ", used by " + orDash(l.Consumer)
	}
	return l.Direction
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return printable(text)
}

// printable keeps what hardware says of itself from steering the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}

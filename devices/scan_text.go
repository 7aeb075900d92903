package devices

import (
	"fmt"
	"strings"
	"unicode"

	"gateway/devices/gpiochip"
)

// Text is what people read: what there is, and the lines for the configuration.
func (f *Found) Text() string {
	var b strings.Builder
	for _, c := range f.Chips {
		fmt.Fprintf(&b, "%s  %s, %d lines\n", c.Name, c.Label, c.Lines)
		for _, l := range c.Used {
			fmt.Fprintf(&b, "  %3d  %-16s %s\n", l.Offset, orDash(l.Name), lineState(&l))
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
		if len(bus.Skipped) > 0 {
			fmt.Fprintf(&b, "  not asked about %s, which this bus cannot be safely: what is there does not show\n", hexList(bus.Skipped))
		}
	}
	for _, p := range f.Probes {
		fmt.Fprintf(&b, "1-Wire  %s  %s\n", p.ID, orDash(p.Driver))
	}
	for _, p := range f.Problems {
		fmt.Fprintf(&b, "%s\n", printable(p))
	}
	if lines := f.config(); len(lines) > 0 {
		b.WriteString("\nFor the configuration (what is at an address is a guess: choose one of those named above):\n\ndevices:\n")
		for _, l := range lines {
			b.WriteString("  - " + l + "\n")
		}
	}
	return b.String()
}

// config are elements of devices.
func (f *Found) config() (lines []string) {
	for i := range f.Chips {
		c := &f.Chips[i]
		if j := firstFree(c); j >= 0 {
			lines = append(lines, fmt.Sprintf("{name: button, type: %s, pin: %s, pull: up, debounce: 20ms}", TypeInput, c.Used[j].Name))
		}
	}
	for _, bus := range f.Buses {
		for _, c := range bus.Chips {
			if len(c.Drivers) > 0 && c.Kernel == "" {
				lines = append(lines, fmt.Sprintf("{name: %s-%s-%02x, type: %s, bus: %s, address: 0x%02x}", c.Drivers[0], bus.Number, c.Address, c.Drivers[0], bus.Number, c.Address))
			}
		}
	}
	for i, p := range f.Probes {
		if p.Driver != "" {
			lines = append(lines, fmt.Sprintf("{name: probe-%d, type: %s, probe: %s}", i+1, p.Driver, p.ID))
		}
	}
	for _, name := range f.Board {
		lines = append(lines, fmt.Sprintf("{name: %s, type: %s, interval: 1m}", strings.ReplaceAll(name, "_", "-"), name))
	}
	return lines
}

// firstFree is the first line of a header's pins that nobody uses, -1 if there is none.
func firstFree(c *FoundChip) int {
	for i, l := range c.Used {
		if !l.Used && strings.HasPrefix(l.Name, "GPIO") {
			return i
		}
	}
	return -1
}

func (a *FoundAddress) text() string {
	if a.Kernel != "" {
		return "in use by the kernel's driver " + a.Kernel
	}
	var parts []string
	if len(a.Drivers) > 0 {
		parts = append(parts, "may be: "+strings.Join(a.Drivers, ", "))
	}
	if len(a.Known) > 0 {
		parts = append(parts, "or, with no driver here: "+strings.Join(a.Known, ", "))
	}
	if len(parts) == 0 {
		return "an unknown chip"
	}
	return strings.Join(parts, "; ")
}

func lineState(l *gpiochip.LineInfo) string {
	direction := "input"
	if l.Output {
		direction = "output"
	}
	if l.Used {
		return direction + ", used by " + printable(orDash(l.Consumer))
	}
	return direction
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

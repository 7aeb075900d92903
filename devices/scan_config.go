package devices

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// config are elements of devices, each with a name of its own.
func (f *Found) config() []string {
	lines := []string{}
	names := map[string]bool{}
	name := func(base string) string {
		unique := base
		for n := 2; names[unique]; n++ {
			unique = fmt.Sprintf("%s-%d", base, n)
		}
		names[unique] = true
		return unique
	}
	for i := range f.Chips {
		c := &f.Chips[i]
		if l := c.example(); l != nil {
			pin := c.pin(l)
			lines = append(lines, fmt.Sprintf("{name: %s, type: %s, pin: %s, chip: %s}", name(nameOf(pin)), TypeInput, yamlText(pin), yamlText(c.called())))
		}
	}
	for _, bus := range f.Buses {
		for _, c := range bus.Chips {
			if len(c.Drivers) == 0 || c.Kernel != "" {
				continue
			}
			driver := c.Drivers[0]
			line := fmt.Sprintf("{name: %s, type: %s, bus: %s, address: 0x%02x}", name(fmt.Sprintf("%s-%s-%02x", driver, bus.Number, c.Address)), driver, bus.Number, c.Address)
			if others := c.Drivers[1:]; len(others) > 0 {
				line += " # or " + strings.Join(others, ", ")
			}
			lines = append(lines, line)
		}
	}
	probe := 0
	for _, p := range f.Probes {
		if p.Driver != "" {
			probe++
			lines = append(lines, fmt.Sprintf("{name: %s, type: %s, probe: %s}", name(fmt.Sprintf("probe-%d", probe)), p.Driver, p.ID))
		}
	}
	for _, driver := range f.Board {
		lines = append(lines, fmt.Sprintf("{name: %s, type: %s, interval: 1m}", name(strings.ReplaceAll(driver, "_", "-")), driver))
	}
	return lines
}

// example is a line to show how one is configured, nil if there is none that may be used without harm. On a Raspberry Pi's header it is one that no bus of the board
// has: an input at GPIO2 would take the pin from I2C. The lines of chips inside the board, such as power and LEDs, are never an example.
func (c *FoundChip) example() *FoundLine {
	for _, inside := range []string{"raspberrypi-", "brcmvirt", "gpio-brcmstb"} {
		if strings.HasPrefix(c.Label, inside) {
			return nil
		}
	}
	free := func(l FoundLine) bool { return !l.Used && l.Direction == "input" }
	if !strings.HasPrefix(c.Label, "pinctrl-") {
		return c.first(free)
	}
	for _, pin := range []string{"GPIO17", "GPIO27", "GPIO22", "GPIO23", "GPIO24", "GPIO25", "GPIO5", "GPIO6", "GPIO16", "GPIO26"} {
		if l := c.first(func(l FoundLine) bool { return l.Name == pin && free(l) }); l != nil {
			return l
		}
	}
	return nil
}

func (c *FoundChip) first(wanted func(FoundLine) bool) *FoundLine {
	i := slices.IndexFunc(c.Lines, wanted)
	if i < 0 {
		return nil
	}
	return &c.Lines[i]
}

// pin is what the configuration calls a line: its name if it has one of its own that is no number, else its number.
func (c *FoundChip) pin(l *FoundLine) string {
	same := 0
	for i := range c.Lines {
		if c.Lines[i].Name == l.Name {
			same++
		}
	}
	if l.Name == "" || digitsOnly(l.Name) || same > 1 {
		return strconv.Itoa(l.Offset)
	}
	return l.Name
}

// called is what the configuration calls a chip.
func (c *FoundChip) called() string {
	if c.Label == "" {
		return c.Name
	}
	return c.Label
}

// nameOf makes the name of a device of that of a pin.
func nameOf(pin string) string {
	name := strings.ToLower(strings.Trim(regexp.MustCompile(`[^A-Za-z0-9]+`).ReplaceAllString(pin, "-"), "-"))
	switch {
	case name == "":
		return "input"
	case digitsOnly(name):
		return "line-" + name
	}
	return name
}

// yamlText is text as YAML has it: in quotes, unless it is plain, and with a digit or a dash no word of YAML's own such as true.
func yamlText(text string) string {
	if regexp.MustCompile(`^[A-Za-z][A-Za-z._-]*[0-9-][A-Za-z0-9._-]*$`).MatchString(text) {
		return text
	}
	return strconv.Quote(text)
}

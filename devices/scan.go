package devices

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gateway/devices/gpiochip"
)

// Found is what Scan found. What could not be looked at is in Problems, with what to do.
type Found struct {
	Chips  []FoundChip  `json:"gpio_chips"`
	Buses  []FoundBus   `json:"i2c_buses"`
	Probes []FoundProbe `json:"probes"`
	// Board are the drivers of the board itself that work here.
	Board []string `json:"board"`
	// Config are elements of devices in the configuration, one for each thing found that there is a driver for.
	Config   []string `json:"config"`
	Problems []string `json:"problems,omitempty"`
}

// FoundChip is a GPIO chip with its lines.
type FoundChip struct {
	Name  string      `json:"name"`
	Label string      `json:"label"`
	Lines []FoundLine `json:"lines"`
}

// FoundLine is a line of a chip; Consumer is who uses it.
type FoundLine struct {
	Offset    int    `json:"offset"`
	Name      string `json:"name,omitempty"`
	Direction string `json:"direction"` // "input" or "output"
	Used      bool   `json:"used"`
	Consumer  string `json:"consumer,omitempty"`
}

// Scan looks for GPIO chips, I2C chips, 1-Wire probes and the board's own sensors. On I2C it reads a byte from each address that no driver of the kernel has, or
// only says the address (see ask). It takes a second or so for each bus, and scanBus at most; where the kernel does not give back a transfer at all, closeWait besides.
func Scan(ctx context.Context, o HardwareOptions) *Found {
	hw := NewHardware(o)
	defer func() { _ = hw.Close() }() // it was only looked at
	f := &Found{Chips: []FoundChip{}, Buses: []FoundBus{}, Probes: []FoundProbe{}, Board: []string{}}
	f.gpio(hw.o.Dev, gpiochip.Chips, gpiochip.Lines)
	f.i2c(ctx, hw)
	f.oneWire(hw.o.Sys)
	for _, b := range []struct{ driver, path string }{{"cpu_temperature", "class/thermal/thermal_zone0"}, {"board", "."}} {
		if _, err := os.Stat(filepath.Join(hw.o.Sys, b.path)); err == nil {
			f.Board = append(f.Board, b.driver)
		}
	}
	f.Config = f.config()
	return f
}

func (f *Found) problem(format string, args ...any) {
	f.Problems = append(f.Problems, fmt.Sprintf(format, args...))
}

// gpio looks with gpiochip.Chips and gpiochip.Lines, whose errors name the group to join.
func (f *Found) gpio(dev string, chips func(dev string) ([]gpiochip.ChipInfo, error), lines func(path string) ([]gpiochip.LineInfo, error)) {
	all, err := chips(dev)
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") { // one for each chip
			f.problem("GPIO: %s", line)
		}
	}
	for _, c := range all {
		chip := FoundChip{Name: c.Name, Label: c.Label, Lines: []FoundLine{}}
		infos, err := lines(c.Path)
		if err != nil {
			f.problem("GPIO: %v", err)
		}
		for _, l := range infos {
			direction := "input"
			if l.Output {
				direction = "output"
			}
			chip.Lines = append(chip.Lines, FoundLine{l.Offset, l.Name, direction, l.Used, l.Consumer})
		}
		f.Chips = append(f.Chips, chip)
	}
	if len(all) == 0 && err == nil {
		f.problem("GPIO: there is no chip: this is no Raspberry Pi, or its kernel is older than 5.10")
	}
}

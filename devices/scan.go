package devices

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gateway/devices/gpiochip"
)

// Found is what Scan found. What could not be looked at is in Problems, with what to do.
type Found struct {
	Chips  []FoundChip  `json:"gpio_chips"`
	Buses  []FoundBus   `json:"i2c_buses"`
	Probes []FoundProbe `json:"probes"`
	// Board are the drivers of the board itself that work here.
	Board    []string `json:"board"`
	Problems []string `json:"problems,omitempty"`
}

// FoundChip is a GPIO chip with its lines.
type FoundChip struct {
	gpiochip.ChipInfo
	Used []gpiochip.LineInfo `json:"lines"`
}

// FoundBus is an I2C bus with the chips that answer on it.
type FoundBus struct {
	Number string         `json:"number"`
	Name   string         `json:"name"`
	Chips  []FoundAddress `json:"chips"`
	// Problem is why it was not looked at, or not to its end.
	Problem string `json:"problem,omitempty"`
	// Skipped are addresses that this bus cannot be asked about safely, or not so that what is there would answer.
	Skipped []int `json:"skipped,omitempty"`
}

// FoundAddress is an address that answers.
type FoundAddress struct {
	Address int `json:"address"`
	// Kernel is the kernel's driver that has it, Drivers those of ours that it may be for, Known what else it may be.
	Kernel  string   `json:"kernel_driver,omitempty"`
	Drivers []string `json:"drivers,omitempty"`
	Known   []string `json:"known,omitempty"`
}

// FoundProbe is a probe on a 1-Wire bus; Driver is "" where there is none for its family.
type FoundProbe struct {
	ID     string `json:"id"`
	Driver string `json:"driver,omitempty"`
}

// Scan looks for GPIO chips, I2C chips, 1-Wire probes and the board's own sensors. On I2C it reads a byte from each address, or only says it where that is
// safer or finds more, and leaves chips alone that the kernel has a driver for. It takes a second or so for each bus, and no longer than a bus that hangs is given.
func Scan(ctx context.Context, o HardwareOptions) *Found {
	hw := NewHardware(o)
	defer func() { _ = hw.Close() }()                                                                 // it was only looked at
	f := &Found{Chips: []FoundChip{}, Buses: []FoundBus{}, Probes: []FoundProbe{}, Board: []string{}} // in JSON nothing is [], not null
	f.gpio(hw.o.Dev)
	f.i2c(ctx, hw)
	f.oneWire(hw.o.Sys)
	for _, b := range []struct{ driver, path string }{{"cpu_temperature", "class/thermal/thermal_zone0/temp"}, {"board", "."}} {
		if _, err := os.Stat(filepath.Join(hw.o.Sys, b.path)); err == nil {
			f.Board = append(f.Board, b.driver)
		}
	}
	return f
}

func (f *Found) problem(format string, args ...any) {
	f.Problems = append(f.Problems, fmt.Sprintf(format, args...))
}

func (f *Found) gpio(dev string) {
	chips, err := gpiochip.Chips(dev)
	if err != nil {
		f.problem("GPIO: %v", err)
	}
	for _, c := range chips {
		lines, err := gpiochip.Lines(c.Path)
		if err != nil {
			f.problem("GPIO: %v", err)
		}
		f.Chips = append(f.Chips, FoundChip{c, lines})
	}
	if len(chips) == 0 && err == nil {
		f.problem("GPIO: there is no chip: this is no Raspberry Pi, or its kernel is older than 5.10")
	}
}

func (f *Found) oneWire(sys string) {
	folder := filepath.Join(sys, "bus/w1/devices")
	entries, err := os.ReadDir(folder)
	if errors.Is(err, os.ErrNotExist) {
		f.problem("1-Wire: there is no bus: dtoverlay=w1-gpio in config.txt, the probe's data line at GPIO4")
		return
	}
	if err != nil {
		f.problem("1-Wire: %v", err)
	}
	for _, e := range entries {
		family, _, ok := strings.Cut(e.Name(), "-")
		if _, err := strconv.ParseUint(family, 16, 8); !ok || err != nil { // a bus master
			continue
		}
		p := FoundProbe{ID: e.Name()}
		if family == "28" {
			p.Driver = "ds18b20"
		}
		f.Probes = append(f.Probes, p)
	}
}

// firstLine is that of a small file, "" if it cannot be read.
func firstLine(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return line
}

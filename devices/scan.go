package devices

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

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

const (
	firstAddress, lastAddress = 0x08, 0x77 // the others are reserved (I2C specification, table 3)
	// scanTimeout bounds a transfer, scanHangs how many may take as long until the bus is left alone.
	scanTimeout = 100 * time.Millisecond
	scanHangs   = 2
)

// otherChips are well-known chips that there is no driver for, by address.
var otherChips = map[int][]string{
	0x3c: {"SSD1306 display"}, 0x3d: {"SSD1306 display"}, 0x48: {"TMP102", "PCF8591"}, 0x50: {"EEPROM"}, 0x57: {"EEPROM of a DS3231"},
	0x60: {"MCP4725", "Si5351"}, 0x68: {"DS3231 clock", "MPU6050"}, 0x69: {"MPU6050"}, 0x70: {"TCA9548A multiplexer"}, 0x27: {"PCF8574 display"},
}

// Scan looks for GPIO chips, I2C chips, 1-Wire probes and the board's own sensors. On I2C it reads a byte from each address, which no known chip minds. It takes
// a second or so for each bus, and no longer than a bus that hangs is given.
func Scan(ctx context.Context, o HardwareOptions) *Found {
	hw := NewHardware(o)
	defer func() { _ = hw.Close() }() // it was only looked at
	f := &Found{}
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

func (f *Found) i2c(ctx context.Context, hw *Hardware) {
	paths, err := filepath.Glob(filepath.Join(hw.o.Dev, "i2c-*"))
	if err != nil || len(paths) == 0 {
		f.problem("I2C: there is no bus: sudo raspi-config nonint do_i2c 0, or dtparam=i2c_arm=on in config.txt and the module i2c-dev")
		return
	}
	slices.SortFunc(paths, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	for _, path := range paths {
		number := strings.TrimPrefix(filepath.Base(path), "i2c-")
		b := FoundBus{Number: number, Name: firstLine(filepath.Join(hw.o.Sys, "bus/i2c/devices/i2c-"+number+"/name"))}
		b.look(ctx, hw)
		f.Buses = append(f.Buses, b)
	}
}

// look reads from each address.
func (b *FoundBus) look(ctx context.Context, hw *Hardware) {
	bus, err := hw.bus(b.Number)
	if err != nil {
		b.Problem = err.Error()
		return
	}
	hangs := 0
	for address := firstAddress; address <= lastAddress && ctx.Err() == nil; address++ {
		kernel := kernelDriver(hw.o.Sys, b.Number, address)
		err := bus.transfer(ctx, uint16(address), nil, make([]byte, 1), scanTimeout)
		switch class := classOf(err); {
		case err == nil, kernel != "", errors.Is(err, syscall.EBUSY):
			b.Chips = append(b.Chips, whatIs(address, kernel))
		case class == FaultStuck:
			if hangs++; hangs == scanHangs {
				b.Problem = "transfers hang: something holds the bus, or the pull-up resistors are missing; " + hintOf(FaultStuck)
				return
			}
		case errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrPermission):
			class, hint := classify(err)
			b.Problem = fmt.Sprintf("%v (%s): %s", err, class, hint)
			return
		}
	}
}

// kernelDriver is the kernel's own driver of a chip, "" if it has none.
func kernelDriver(sys, number string, address int) string {
	link, err := os.Readlink(filepath.Join(sys, "bus/i2c/devices", fmt.Sprintf("%s-%04x", number, address), "driver"))
	if err != nil {
		return ""
	}
	return filepath.Base(link)
}

// whatIs says what a chip at that address may be.
func whatIs(address int, kernel string) FoundAddress {
	a := FoundAddress{Address: address, Kernel: kernel, Known: otherChips[address]}
	for _, d := range Drivers() {
		if slices.Contains(d.Addresses, address) {
			a.Drivers = append(a.Drivers, d.Name)
		}
	}
	return a
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

package devices

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

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
		b := FoundBus{Number: number, Chips: []FoundAddress{}, Name: firstLine(filepath.Join(hw.o.Sys, "bus/i2c/devices/i2c-"+number+"/name"))}
		b.look(ctx, hw)
		f.Buses = append(f.Buses, b)
	}
}

// readIsUnsafe says of an address that chips are known there that can be written to alone, and hold the bus when they are read (i2cdetect(8)).
func readIsUnsafe(address int) bool { return address == 0x69 }

// refusesReads says of a driver that its chips refuse a read while they have measured nothing.
func refusesReads(driver string) bool { return driver == "sht4x" || driver == "scd4x" }

// errSkipped says that the adapter cannot ask about an address.
var errSkipped = errors.New("this bus cannot be asked about the address")

// ask says whether a chip answers at the address, and whether it is one that refused to be read.
func ask(ctx context.Context, b *bus, address int) (refused bool, err error) {
	if !readIsUnsafe(address) {
		err := b.transfer(ctx, uint16(address), nil, make([]byte, 1), scanTimeout)
		refused = errors.Is(err, syscall.ENXIO) || errors.Is(err, syscall.EREMOTEIO)
		if !refused || !slices.ContainsFunc(whatIs(address, "").Drivers, refusesReads) {
			return false, err
		}
	}
	err = b.knock(ctx, uint16(address), scanTimeout)
	if errors.Is(err, errors.ErrUnsupported) { // EOPNOTSUPP is one
		err = errSkipped
	}
	return refused, err
}

// look asks for each address, but for those that the kernel has a driver for.
func (b *FoundBus) look(ctx context.Context, hw *Hardware) {
	bus, err := hw.bus(b.Number)
	if err != nil {
		b.Problem = err.Error()
		return
	}
	hangs, other := 0, error(nil)
	for address := firstAddress; address <= lastAddress; address++ {
		if kernel := kernelDriver(hw.o.Sys, b.Number, address); kernel != "" {
			b.Chips = append(b.Chips, whatIs(address, kernel))
			continue
		}
		refused, err := ask(ctx, bus, address)
		switch class := classOf(err); {
		case err == nil, errors.Is(err, syscall.EBUSY):
			chip := whatIs(address, "")
			if refused { // the other chips that it could be do not
				chip.Drivers = slices.DeleteFunc(chip.Drivers, func(name string) bool { return !refusesReads(name) })
			}
			b.Chips = append(b.Chips, chip)
		case ctx.Err() != nil:
			b.Problem = fmt.Sprintf("the scan ended at 0x%02x: %v", address, ctx.Err())
			return
		case errors.Is(err, errSkipped):
			b.Skipped = append(b.Skipped, address)
		case class == FaultStuck:
			if hangs++; hangs == scanHangs {
				b.Problem = fmt.Sprintf("transfers hang at 0x%02x: something holds the bus, or the pull-up resistors are missing; %s", address, hintOf(FaultStuck))
				return
			}
		case errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrPermission):
			class, hint := classify(err)
			b.Problem = fmt.Sprintf("%v (%s): %s", err, class, hint)
			return
		case class == FaultOther:
			other = err
		}
	}
	if other != nil && len(b.Chips) == 0 {
		b.Problem = fmt.Sprintf("this bus cannot be scanned: %v", other)
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

package devices

import (
	"cmp"
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

// FoundBus is an I2C bus with the chips that answer on it.
type FoundBus struct {
	Number string         `json:"number"`
	Name   string         `json:"name"`
	Chips  []FoundAddress `json:"chips"`
	// Skipped are addresses that this bus cannot be asked about safely, or not so that what may be there would answer.
	Skipped []int `json:"skipped,omitempty"`
	// Problem is why it was not looked at, or not to its end.
	Problem string `json:"problem,omitempty"`
}

// FoundAddress is an address that answers, or that a driver of the kernel has.
type FoundAddress struct {
	Address int `json:"address"`
	// Kernel is the kernel's driver that has it, Drivers those of ours that it may be for, the likeliest first, Known what else it may be.
	Kernel  string   `json:"kernel_driver,omitempty"`
	Drivers []string `json:"drivers,omitempty"`
	Known   []string `json:"known,omitempty"`
}

const (
	firstAddress, lastAddress = 0x08, 0x77 // the others are reserved (I2C specification, table 3)
	// scanHangs is how many transfers may hang until a bus is left alone, scanBus how long a bus may take altogether. Each transfer has as long as those of drivers:
	// the kernel keeps the timeout for the whole adapter, so a shorter one would become that of a gateway that runs meanwhile.
	scanHangs = 2
	scanBus   = 5 * time.Second
)

func (f *Found) i2c(ctx context.Context, hw *Hardware) {
	paths, _ := filepath.Glob(filepath.Join(hw.o.Dev, "i2c-*")) // the pattern is right
	var numbers []string
	for _, path := range paths {
		if n := strings.TrimPrefix(filepath.Base(path), "i2c-"); digitsOnly(n) {
			numbers = append(numbers, n)
		}
	}
	if len(numbers) == 0 {
		f.problem("I2C: there is no bus: sudo raspi-config nonint do_i2c 0, or dtparam=i2c_arm=on in config.txt and the module i2c-dev")
	}
	slices.SortFunc(numbers, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	for _, number := range numbers {
		b := FoundBus{Number: number, Name: firstLine(filepath.Join(hw.o.Sys, "bus/i2c/devices/i2c-"+number+"/name")), Chips: []FoundAddress{}}
		b.look(ctx, hw)
		f.Buses = append(f.Buses, b)
	}
}

// readIsUnsafe says of an address that chips are known there that are only written to, and hold the bus when they are read (i2cdetect(8)).
func readIsUnsafe(address int) bool { return address == 0x69 }

// refusesReads says of a driver that its chips refuse a read while they have measured nothing.
func refusesReads(driver string) bool { return driver == "sht4x" || driver == "scd4x" }

// errSkipped says that an adapter cannot ask about an address.
var errSkipped = errors.New("this bus cannot be asked about the address")

// ask says whether a chip answers at the address, and whether it is one that refused to be read.
func ask(ctx context.Context, b *bus, address int) (refused bool, err error) {
	if !readIsUnsafe(address) {
		err := b.transfer(ctx, uint16(address), nil, make([]byte, 1), i2cUsual)
		refused = errors.Is(err, syscall.ENXIO) || errors.Is(err, syscall.EREMOTEIO) || errors.Is(err, syscall.EIO)
		if !refused || !slices.ContainsFunc(whatIs(address, "").Drivers, refusesReads) {
			return false, err
		}
	}
	err = b.knock(ctx, uint16(address), i2cUsual)
	if errors.Is(err, errors.ErrUnsupported) { // EOPNOTSUPP is one
		err = errSkipped
	}
	return refused, err
}

// look reads from each address, or only says it where that is safer or finds more.
func (b *FoundBus) look(ctx context.Context, hw *Hardware) {
	bus, err := hw.bus(b.Number)
	if err != nil {
		b.Problem = err.Error()
		return
	}
	ctx, cancel := context.WithTimeout(ctx, scanBus)
	defer cancel()
	hangs, asked, answered := 0, 0, 0
	for address := firstAddress; address <= lastAddress; address++ {
		if kernel := kernelDriver(hw.o.Sys, b.Number, address); kernel != "" { // it is not ours to talk to
			b.Chips = append(b.Chips, whatIs(address, kernel))
			continue
		}
		asked++
		refused, err := ask(ctx, bus, address)
		switch {
		case ctx.Err() != nil:
			b.Problem = fmt.Sprintf("it was left alone at 0x%02x: %v", address, why(ctx))
			return
		case err == nil:
			answered++
			chip := whatIs(address, "")
			if refused { // the other chips that it could be do not
				chip.Drivers = slices.DeleteFunc(chip.Drivers, func(name string) bool { return !refusesReads(name) })
			}
			b.Chips = append(b.Chips, chip)
		case errors.Is(err, errSkipped):
			asked--
			b.Skipped = append(b.Skipped, address)
		case errors.Is(err, syscall.EOPNOTSUPP):
			b.Problem = "its adapter only does SMBus, and the drivers here need plain transfers: use another bus"
			return
		case unusable(err):
			class, hint := classify(err)
			b.Problem = strings.TrimSuffix(fmt.Sprintf("%v (%s): %s", err, class, hint), ": ")
			return
		case hung(err):
			if hangs++; hangs == scanHangs {
				b.Problem = fmt.Sprintf("it hangs and was left alone at 0x%02x: its pull-up resistors are missing, or %s", address, hintOf(FaultStuck))
				return
			}
		case b.Problem == "" && !nobody(err):
			b.Problem = err.Error()
		}
	}
	if answered == asked {
		b.Chips = slices.DeleteFunc(b.Chips, func(c FoundAddress) bool { return c.Kernel == "" })
		b.Problem = "every address answers, so none can be told: something holds the data line low: power-cycle the chips on it"
	}
}

// why says for people why a bus was not looked at to its end.
func why(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("it took longer than %s", scanBus)
	}
	return ctx.Err()
}

// unusable says whether err is about a whole bus: it cannot be opened, or is none.
func unusable(err error) bool {
	var path *os.PathError
	return errors.As(err, &path) || errors.Is(err, syscall.ENOTTY)
}

// hung says whether err is about a bus that somebody holds; some adapters tell it as busy, or as a lost arbitration.
func hung(err error) bool {
	class, _ := classify(err)
	return class == FaultStuck || errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.EAGAIN)
}

// nobody says whether err means that no chip has the address: EIO is how some adapters tell it.
func nobody(err error) bool {
	class, _ := classify(err)
	return class == FaultMissing || errors.Is(err, syscall.EIO)
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
	a := FoundAddress{Address: address, Kernel: kernel, Known: knownAt(address)}
	var elsewhere []string // those that usually have another
	for _, d := range Drivers() {
		switch slices.Index(d.Addresses, address) {
		case -1:
		case 0:
			a.Drivers = append(a.Drivers, d.Name)
		default:
			elsewhere = append(elsewhere, d.Name)
		}
	}
	a.Drivers = append(a.Drivers, elsewhere...)
	return a
}

// knownAt are well-known chips with that address that there is no driver for.
func knownAt(address int) (names []string) {
	for _, c := range []struct {
		from, to int
		name     string
	}{
		{0x0b, 0x0b, "smart battery"}, {0x1e, 0x1e, "HMC5883L compass"}, {0x20, 0x27, "PCF8574 expander or its display"}, {0x29, 0x29, "VL53L0X or TSL2561"},
		{0x36, 0x36, "MAX17048 battery gauge"}, {0x38, 0x3f, "PCF8574A expander or its display"}, {0x3c, 0x3d, "SSD1306 display"}, {0x48, 0x4b, "TMP102 or PCF8591"},
		{0x50, 0x57, "EEPROM"}, {0x5a, 0x5a, "MLX90614, MPR121 or CCS811"}, {0x60, 0x60, "MCP4725, Si5351 or ATECC608"}, {0x68, 0x68, "DS3231 clock"}, {0x68, 0x69, "MPU6050"},
		{0x70, 0x77, "TCA9548A multiplexer"},
	} {
		if c.from <= address && address <= c.to {
			names = append(names, c.name)
		}
	}
	return names
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

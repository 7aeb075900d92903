package devices

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// boardUsual is how long a file of the kernel may take: get_throttled asks the firmware.
const boardUsual = 2 * time.Second

func driverCPUTemperature() Driver {
	return Driver{
		Name: "cpu_temperature", Title: "the temperature of the board's processor", Bus: BusBoard,
		Quantities: []Quantity{{"temperature", "Cel", 1, -40, 125}}, MinInterval: time.Second, Timeout: boardUsual,
		open: func(_ context.Context, e *environment) (reader, error) {
			o, err := e.hw.owner("the board's temperature")
			if err != nil {
				return nil, err
			}
			return &cpuTemperature{owner: o, sys: e.hw.o.Sys, timeout: e.timeout}, nil
		},
	}
}

type cpuTemperature struct {
	owner   *owner
	sys     string
	timeout time.Duration
}

func (c *cpuTemperature) Read(ctx context.Context) ([]Reading, error) {
	milli, err := readNumber(ctx, c.owner, c.timeout, 10, c.zone(ctx), "temp")
	if err != nil {
		return nil, err
	}
	return []Reading{{"temperature", float64(milli) / 1000, "Cel"}}, nil
}

// zone is the thermal zone of the processor: the first that says so, else the first.
func (c *cpuTemperature) zone(ctx context.Context) string {
	zones, _ := filepath.Glob(filepath.Join(c.sys, "class/thermal/thermal_zone*")) // the pattern is right
	for _, z := range zones {
		kind, err := readFile(ctx, c.owner, c.timeout, z, "type")
		if err == nil && (strings.HasPrefix(kind, "cpu") || strings.HasPrefix(kind, "x86_pkg")) {
			return z
		}
	}
	return filepath.Join(c.sys, "class/thermal/thermal_zone0")
}

func (c *cpuTemperature) Close() error { return nil }

// throttling are the bits of the Raspberry Pi's firmware: what is so now, and what was so at some time since it started.
func throttling() map[int]string {
	return map[int]string{
		0: "under_voltage", 1: "frequency_capped", 2: "throttled", 3: "soft_temperature_limit",
		16: "under_voltage_seen", 17: "frequency_capped_seen", 18: "throttled_seen", 19: "soft_temperature_limit_seen",
	}
}

func driverBoard() Driver {
	d := Driver{
		Name: "board", Title: "the board's health: supply and throttling (Raspberry Pi), load, memory and uptime", Bus: BusBoard,
		Quantities: []Quantity{
			{"load", "1", 2, 0, 10000}, {"memory_available", "MiBy", 1, 0, 1 << 24}, {"memory_used", "%", 1, 0, 100}, {"uptime", "s", 0, 0, 1e10},
		},
		MinInterval: time.Second, Timeout: boardUsual,
		open: func(_ context.Context, e *environment) (reader, error) {
			o, err := e.hw.owner("the board")
			if err != nil {
				return nil, err
			}
			return &board{owner: o, sys: e.hw.o.Sys, proc: e.hw.o.Proc, timeout: e.timeout}, nil
		},
	}
	for _, bit := range []int{0, 1, 2, 3, 16, 17, 18, 19} {
		d.Quantities = append(d.Quantities, Quantity{throttling()[bit], "1", 0, 0, 1})
	}
	return d
}

type board struct {
	owner     *owner
	sys, proc string
	timeout   time.Duration
}

func (b *board) Read(ctx context.Context) ([]Reading, error) {
	load, err := b.first(ctx, "loadavg")
	if err != nil {
		return nil, err
	}
	uptime, err := b.first(ctx, "uptime")
	if err != nil {
		return nil, err
	}
	total, available, err := b.memory(ctx)
	if err != nil {
		return nil, err
	}
	bits, err := b.throttled(ctx)
	if err != nil {
		return nil, err
	}
	return append([]Reading{
		{"load", load, "1"}, {"memory_available", available / 1024, "MiBy"},
		{"memory_used", 100 * (total - available) / total, "%"}, {"uptime", uptime, "s"},
	}, bits...), nil
}

// first is the first number of a file of /proc.
func (b *board) first(ctx context.Context, name string) (float64, error) {
	text, err := readFile(ctx, b.owner, b.timeout, b.proc, name)
	if err != nil {
		return 0, err
	}
	word, _, _ := strings.Cut(text, " ")
	n, err := strconv.ParseFloat(strings.TrimSpace(word), 64)
	if err != nil {
		return 0, fmt.Errorf("/proc/%s: %w", name, err)
	}
	return n, nil
}

// memory is in KiB.
func (b *board) memory(ctx context.Context) (total, available float64, err error) {
	text, err := readFile(ctx, b.owner, b.timeout, b.proc, "meminfo")
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(text) {
		key, rest, _ := strings.Cut(line, ":")
		n, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64) // 0 is refused below
		switch key {
		case "MemTotal":
			total = n
		case "MemAvailable":
			available = n
		}
	}
	if total == 0 {
		return 0, 0, fmt.Errorf("/proc/meminfo says nothing of MemTotal")
	}
	return total, available, nil
}

// throttled is what a Raspberry Pi's firmware says; other boards have no such file, and no such readings.
func (b *board) throttled(ctx context.Context) ([]Reading, error) {
	bits, err := readNumber(ctx, b.owner, b.timeout, 16, b.sys, "devices/platform/soc/soc:firmware/get_throttled")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var readings []Reading
	for bit, name := range throttling() {
		readings = append(readings, Reading{name, float64(bits >> bit & 1), "1"})
	}
	return readings, nil
}

func (b *board) Close() error { return nil }

package devices

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The range is that of Maxim's data sheet. A conversion takes 750 ms, and the kernel repeats what its checksum does not fit up to three times.
func driverDS18B20() Driver {
	return Driver{
		Name: "ds18b20", Title: "Maxim DS18B20: temperature, a probe on 1-Wire", Bus: BusWire,
		Quantities: []Quantity{{"temperature", "Cel", 3, -55, 125}}, Options: []string{"probe"}, MinInterval: time.Second, Timeout: 5 * time.Second,
		open: openDS18B20,
		check: func(s *Spec) error {
			if !regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{12}$`).MatchString(s.Probe) {
				return fmt.Errorf("probe %q: want its id, such as 28-000000a1b2c3 (`gateway devices scan` finds them)", s.Probe)
			}
			return nil
		},
	}
}

// ds18b20 reads a probe through the kernel's driver w1_therm.
type ds18b20 struct {
	owner   *owner
	folder  string
	timeout time.Duration
	read    bool // it has given a value since it was opened
}

// powerOn is what a DS18B20 says until it has converted once: 85 °C.
const powerOn = 85000

// openDS18B20 keeps to one goroutine for each probe: while one converts, the kernel lets the others on the wire talk.
func openDS18B20(_ context.Context, e *environment) (reader, error) {
	o, err := e.hw.owner("1-Wire " + e.spec.Probe)
	if err != nil {
		return nil, err
	}
	return &ds18b20{owner: o, folder: filepath.Join(e.hw.o.Sys, "bus/w1/devices", e.spec.Probe), timeout: e.timeout}, nil
}

func (d *ds18b20) Read(ctx context.Context) ([]Reading, error) {
	milli, err := d.milli(ctx)
	if err != nil {
		return nil, err
	}
	if milli == powerOn && !d.read {
		return nil, faultf(FaultOther, "%s: 85 °C at first, which a probe says that has not converted: check its supply", d.owner.name)
	}
	d.read = true
	return []Reading{{"temperature", float64(milli) / 1000, "Cel"}}, nil
}

// milli is the temperature in thousandths. w1_slave has the verdict on the checksum with it; temperature is there instead where a probe's driver has no more.
func (d *ds18b20) milli(ctx context.Context) (int64, error) {
	text, err := readFile(ctx, d.owner, d.timeout, d.folder, "w1_slave")
	if errors.Is(err, fs.ErrNotExist) {
		if n, err := readNumber(ctx, d.owner, d.timeout, 10, d.folder, "temperature"); !errors.Is(err, fs.ErrNotExist) {
			return n, d.explain(err)
		}
	}
	if err != nil {
		return 0, d.explain(err)
	}
	return d.parse(text)
}

// parse reads what w1_slave says: two lines of bytes, the first ending in "crc=xx YES" or NO, the second in "t=" and thousandths.
func (d *ds18b20) parse(text string) (int64, error) {
	if strings.TrimSpace(text) == "" {
		return 0, fmt.Errorf("%s: %w (or all that was read was garbled: the kernel says the same of that)", d.owner.name, errNothing)
	}
	if strings.HasPrefix(text, "00 00 00 00 00 00 00 00 00") { // nine zeros have the right checksum: a wire held low
		return 0, faultf(FaultCRC, "%s: all that was read is zeros: the wire is held low", d.owner.name)
	}
	if !strings.Contains(text, "YES") {
		return 0, faultf(FaultCRC, "%s: the checksum of what was read is wrong", d.owner.name)
	}
	_, after, found := strings.Cut(text, "t=")
	milli, err := strconv.ParseInt(strings.TrimSpace(after), 10, 64)
	if !found || err != nil {
		return 0, faultf(FaultCRC, "%s: no temperature in %q", d.owner.name, text)
	}
	return milli, nil
}

// explain gives errors of the kernel their meaning here.
func (d *ds18b20) explain(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, syscall.EIO) { // nobody answered the reset, or not for the whole conversion
		return faultf(FaultMissing, "%s: %w", d.owner.name, err)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return opened(err, filepath.Join(d.folder, "w1_slave"), "gpio", "")
	}
	if _, none := os.Stat(filepath.Dir(d.folder)); none != nil {
		return &faultError{FaultMissing, "enable 1-Wire: dtoverlay=w1-gpio in config.txt", err}
	}
	return &faultError{FaultMissing, "check the probe's wiring and its id: `gateway devices scan` shows the probes", err}
}

func (d *ds18b20) Close() error { return nil }

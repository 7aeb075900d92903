package devices

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gateway/devices/gpiochip"
)

var updateScan = flag.Bool("update", false, "write the golden files anew")

// answering is an I2C bus of which some addresses answer. It notes who was asked.
type answering struct {
	chips map[uint16]error
	other error // of those that are not in chips
	took  time.Duration
	asked []uint16
}

func (a *answering) Transfer(address uint16, w, r []byte, timeout time.Duration) error {
	if len(w) != 0 || len(r) != 1 || timeout != i2cUsual {
		return fmt.Errorf("a scan wrote % x, with %s", w, timeout)
	}
	a.asked = append(a.asked, address)
	if a.took > 0 {
		<-time.After(a.took)
	}
	err, there := a.chips[address]
	if !there {
		return a.other
	}
	return err
}

// Knock answers as a read does.
func (a *answering) Knock(address uint16, timeout time.Duration) error {
	if timeout != i2cUsual {
		return fmt.Errorf("a scan knocked with %s", timeout)
	}
	if len(a.asked) == 0 || a.asked[len(a.asked)-1] != address {
		a.asked = append(a.asked, address)
	}
	err, there := a.chips[address]
	if !there {
		return a.other
	}
	return err
}

func (a *answering) Close() error { return nil }

// scanRoots are a /dev and a /sys with the files.
func scanRoots(t *testing.T, files map[string]string) HardwareOptions {
	t.Helper()
	root := t.TempDir()
	for _, folder := range []string{"dev", "sys"} {
		if err := os.Mkdir(filepath.Join(root, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			if err := os.Symlink(target, path); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return HardwareOptions{Dev: filepath.Join(root, "dev"), Sys: filepath.Join(root, "sys")}
}

// isGolden compares text, without the paths of this run, with testdata/scan/<name>.golden.
func isGolden(t *testing.T, name, text string, o HardwareOptions) {
	t.Helper()
	got := strings.ReplaceAll(text, filepath.Dir(o.Dev), "")
	golden := filepath.Join("testdata", "scan", name+".golden")
	if *updateScan {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

// TestScan: a machine with a bus of each kind: one with chips, one that may not be used, one that hangs, one that only does SMBus, one held low, one that is empty.
func TestScan(t *testing.T) {
	t.Parallel()
	o := scanRoots(t, map[string]string{
		"dev/i2c-1": "", "dev/i2c-20": "", "dev/i2c-3": "", "dev/i2c-4": "", "dev/i2c-5": "", "dev/i2c-6": "", "dev/i2c-7": "", "dev/i2c-stub": "",
		"sys/bus/i2c/devices/i2c-1/name":     "bcm2835 (i2c@7e804000)\n",
		"sys/bus/i2c/devices/1-0068/driver":  "-> ../../rtc-ds1307",
		"sys/bus/w1/devices/28-0000a1b2c300": "", "sys/bus/w1/devices/w1_bus_master1": "", "sys/bus/w1/devices/10-000801": "", "sys/bus/w1/devices/00-4000000000": "",
		"sys/class/thermal/thermal_zone0/temp": "41000",
	})
	one := &answering{chips: map[uint16]error{0x76: nil, 0x44: nil, 0x3c: nil, 0x29: nil, 0x0f: nil, 0x68: nil}, other: syscall.EREMOTEIO}
	held := &answering{chips: map[uint16]error{0x50: nil}, other: syscall.EBUSY}
	o.i2c = func(path string) (transport, error) {
		switch filepath.Base(path) {
		case "i2c-1":
			return one, nil
		case "i2c-3":
			return nil, &os.PathError{Op: "open", Path: path, Err: syscall.EACCES}
		case "i2c-4":
			return &answering{other: syscall.EOPNOTSUPP}, nil
		case "i2c-5":
			return &answering{}, nil // data held low: an acknowledgement to everybody
		case "i2c-6":
			return &answering{other: syscall.EIO}, nil
		case "i2c-7":
			return &answering{chips: map[uint16]error{0x20: syscall.EPROTO}, other: syscall.ENXIO}, nil
		}
		return held, nil
	}
	f := Scan(t.Context(), o)
	isGolden(t, "buses", f.Text(), o)
	if slices.Contains(one.asked, 0x68) || len(one.asked) != lastAddress-firstAddress {
		t.Errorf("asked %x, want all but 0x68, which a driver of the kernel has", one.asked)
	}
	if len(held.asked) != scanHangs {
		t.Errorf("a bus that hangs was asked %d times, want %d", len(held.asked), scanHangs)
	}
	if data, err := json.Marshal(f); err != nil || strings.Contains(string(data), "null") || !strings.Contains(string(data), `"chips":[{"address":15}`) {
		t.Errorf("got %s, %v", data, err)
	}
}

func TestScanOfNothing(t *testing.T) {
	t.Parallel()
	o := scanRoots(t, nil)
	f := Scan(t.Context(), o)
	isGolden(t, "nothing", f.Text(), o)
	if data, err := json.Marshal(f); err != nil || strings.Contains(string(data), "null") {
		t.Errorf("got %s, %v: want empty lists", data, err)
	}
}

// TestScanOfAnEmptyWire: the kernel has the 1-Wire bus, and nobody is on it. What is no GPIO chip gets a line of its own.
func TestScanOfAnEmptyWire(t *testing.T) {
	t.Parallel()
	o := scanRoots(t, map[string]string{"sys/bus/w1/devices/w1_bus_master1": "", "dev/gpiochip0": "", "dev/gpiochip1": ""})
	isGolden(t, "wire", Scan(t.Context(), o).Text(), o)
}

// TestScanOfASlowBus: no transfer hangs, but together they would take too long.
func TestScanOfASlowBus(t *testing.T) {
	t.Parallel()
	o := scanRoots(t, map[string]string{"dev/i2c-1": ""})
	synctest.Test(t, func(t *testing.T) {
		bus := &answering{other: syscall.ENXIO, took: 190 * time.Millisecond}
		o.i2c = func(string) (transport, error) { return bus, nil }
		began := time.Now()
		f := Scan(t.Context(), o)
		if took := time.Since(began); took > scanBus+i2cUsual {
			t.Errorf("it took %s, want %s", took, scanBus)
		}
		if p := f.Buses[0].Problem; !strings.Contains(p, "longer than 5s") || len(bus.asked) != 27 {
			t.Errorf("got %q after %d transfers, want that it took too long after 27", p, len(bus.asked))
		}
	})
}

// TestScanOfAStuckBus: the kernel does not give a transfer back for an hour.
func TestScanOfAStuckBus(t *testing.T) {
	t.Parallel()
	o := scanRoots(t, map[string]string{"dev/i2c-1": ""})
	synctest.Test(t, func(t *testing.T) {
		o.i2c = func(string) (transport, error) { return &answering{took: time.Hour}, nil }
		began := time.Now()
		f := Scan(t.Context(), o)
		if took := time.Since(began); took > scanBus+closeWait {
			t.Errorf("it took %s", took)
		}
		if p := f.Buses[0].Problem; !strings.Contains(p, "it hangs and was left alone at 0x09") {
			t.Errorf("got %q, want that it hangs", p)
		}
		<-time.After(time.Hour)
	})
}

func TestScanIsInterrupted(t *testing.T) {
	t.Parallel()
	o := scanRoots(t, map[string]string{"dev/i2c-1": ""})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o.i2c = func(string) (transport, error) { return &answering{other: syscall.ENXIO}, nil }
	if p := Scan(ctx, o).Buses[0].Problem; !strings.Contains(p, "left alone at 0x08: context canceled") {
		t.Errorf("got %q, want that it was left alone", p)
	}
}

// TestScanShowsLines: what a chip says of itself steers neither the terminal nor the configuration, and the example is a pin that no bus has.
func TestScanShowsLines(t *testing.T) {
	t.Parallel()
	lines := map[string][]gpiochip.LineInfo{
		"/dev/gpiochip0": {{Offset: 0, Name: "ID_SDA"}, {Offset: 2, Name: "GPIO2"}, {Offset: 4, Name: "GPIO4", Used: true, Consumer: "w1\x1b[2J"}, {Offset: 17, Name: "GPIO17", Used: true, Output: true, Consumer: "gateway"}, {Offset: 27, Name: "GPIO27"}},
		"/dev/gpiochip1": {{Offset: 0, Name: "BT_ON"}},
		"/dev/gpiochip2": {{Offset: 0, Used: true}, {Offset: 1}},
		"/dev/gpiochip3": {{Offset: 0, Name: "door, 1}"}},
		"/dev/gpiochip4": {{Offset: 5, Name: "GPIO27"}},
	}
	chips := []gpiochip.ChipInfo{
		{Path: "/dev/gpiochip0", Name: "gpiochip0", Label: "pinctrl-bcm2711"}, {Path: "/dev/gpiochip1", Name: "gpiochip1", Label: "raspberrypi-exp-gpio"},
		{Path: "/dev/gpiochip2", Name: "gpiochip2", Label: "1-0020"}, {Path: "/dev/gpiochip3", Name: "gpiochip3"}, {Path: "/dev/gpiochip4", Name: "gpiochip4", Label: "gpio-sim.0"},
		{Path: "/dev/gpiochip5", Name: "gpiochip5", Label: "gone"},
	}
	denied := errors.New("open /dev/gpiochip6: permission denied: the gateway's user must be in the group \"gpio\", such as by: usermod -aG gpio gateway")
	f := Found{}
	f.gpio("/dev", func(string) ([]gpiochip.ChipInfo, error) { return chips, errors.Join(denied, denied) }, func(path string) ([]gpiochip.LineInfo, error) {
		if infos, there := lines[path]; there {
			return infos, nil
		}
		return nil, errors.New(path + " was unplugged")
	})
	f.Config = f.config()
	isGolden(t, "lines", f.Text(), HardwareOptions{Dev: "/none/dev"})
}

package devices

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"periph.io/x/conn/v3/gpio"

	"gateway/devices/gpiochip"
)

// answering is an I2C bus of which some addresses answer.
type answering map[uint16]error

func (a answering) Transfer(address uint16, w, r []byte, _ time.Duration) error {
	if len(w) != 0 || len(r) != 1 {
		return fmt.Errorf("a scan wrote % x", w)
	}
	err, there := a[address]
	if !there {
		return syscall.ENXIO
	}
	return err
}

func (a answering) Close() error { return nil }

// scanRoots are a /dev and a /sys with the files.
func scanRoots(t *testing.T, files map[string]string) HardwareOptions {
	t.Helper()
	root := t.TempDir()
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

func TestScan(t *testing.T) {
	t.Parallel()
	o := scanRoots(t, map[string]string{
		"dev/i2c-1": "", "dev/i2c-20": "", "dev/i2c-3": "", "sys/bus/i2c/devices/i2c-1/name": "bcm2835 (i2c@7e804000)\n",
		"sys/bus/i2c/devices/1-0068/driver":  "-> ../../rtc-ds1307",
		"sys/bus/w1/devices/28-0000a1b2c300": "", "sys/bus/w1/devices/w1_bus_master1": "", "sys/bus/w1/devices/10-000801": "",
		"sys/class/thermal/thermal_zone0/temp": "41000",
	})
	o.i2c = func(path string) (transport, error) {
		switch filepath.Base(path) {
		case "i2c-1":
			return answering{0x76: nil, 0x68: syscall.EBUSY, 0x3c: nil, 0x29: nil}, nil
		case "i2c-3":
			return nil, &os.PathError{Op: "open", Path: path, Err: syscall.EACCES}
		}
		hangs := answering{}
		for a := uint16(0); a < 0x80; a++ {
			hangs[a] = syscall.ETIMEDOUT
		}
		return hangs, nil
	}
	f := Scan(t.Context(), o)
	if len(f.Buses) != 3 || f.Buses[0].Number != "1" || f.Buses[1].Number != "3" || len(f.Buses[0].Chips) != 4 {
		t.Fatalf("got %+v", f)
	}
	if p := f.Buses[1].Problem; !strings.Contains(p, "permission denied") || !strings.Contains(p, "usermod -aG") {
		t.Errorf("got %q, want the group to join", p)
	}
	if p := f.Buses[2].Problem; !strings.Contains(p, "hang") {
		t.Errorf("got %q, want that it hangs", p)
	}
	if len(f.Probes) != 2 || f.Probes[0].Driver != "" || f.Probes[1] != (FoundProbe{"28-0000a1b2c300", "ds18b20"}) {
		t.Errorf("got %+v", f.Probes)
	}
	text := f.Text()
	for _, want := range []string{
		"i2c-1  bcm2835 (i2c@7e804000)\n", "  0x29  an unknown chip\n", "  0x68  in use by the kernel's driver rtc-ds1307\n", "  0x3c  or, with no driver here: SSD1306 display\n",
		"  0x76  may be: bme280, bmp280\n", "  - {name: bme280-1-76, type: bme280, bus: 1, address: 0x76}\n", "  - {name: probe-2, type: ds18b20, probe: 28-0000a1b2c300}\n",
		"  - {name: cpu-temperature, type: cpu_temperature, interval: 1m}\n", "GPIO: there is no chip",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

func TestScanOfNothing(t *testing.T) {
	t.Parallel()
	f := Scan(t.Context(), scanRoots(t, map[string]string{"dev/null": ""}))
	if len(f.Problems) != 3 || len(f.Chips)+len(f.Buses)+len(f.Probes) > 0 {
		t.Errorf("got %+v, want three problems and what to do", f)
	}
}

// TestScanShowsLines: what a chip says of itself does not steer the terminal, and a free pin of the header is the example.
func TestScanShowsLines(t *testing.T) {
	t.Parallel()
	f := Found{Chips: []FoundChip{{gpiochip.ChipInfo{Name: "gpiochip0", Label: "pinctrl-bcm2711", Lines: 3}, []gpiochip.LineInfo{
		{Offset: 0, Name: "ID_SDA"}, {Offset: 4, Name: "GPIO4", Used: true, Consumer: "w1\x1b[2J"}, {Offset: 17, Name: "GPIO17"},
	}}}}
	want := "gpiochip0  pinctrl-bcm2711, 3 lines\n    0  ID_SDA           input\n    4  GPIO4            input, used by w1?[2J\n   17  GPIO17           input\n"
	if text := f.Text(); !strings.HasPrefix(text, want) || !strings.Contains(text, "pin: GPIO17") {
		t.Errorf("got\n%s", text)
	}
	if !slices.Equal(f.config(), []string{"{name: button, type: gpio_input, pin: GPIO17, pull: up, debounce: 20ms}"}) {
		t.Errorf("got %q", f.config())
	}
}

// TestScanAsJSON: the names of keys are those of all other JSON here, no two differ by their case alone, and nothing is an empty list.
func TestScanAsJSON(t *testing.T) {
	t.Parallel()
	f := Scan(t.Context(), scanRoots(t, map[string]string{"dev/null": ""}))
	got := string(encode(f))
	for _, want := range []string{`"gpio_chips":[]`, `"i2c_buses":[]`, `"probes":[]`, `"board":[]`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in %s", want, got)
		}
	}
	chip := FoundChip{gpiochip.ChipInfo{Path: "/dev/gpiochip0", Name: "gpiochip0", Label: "pinctrl-rp1", Lines: 1}, []gpiochip.LineInfo{{Offset: 4, Name: "GPIO4", Used: true, Consumer: "w1", Pull: gpio.PullUp}}}
	want := `{"path":"/dev/gpiochip0","name":"gpiochip0","label":"pinctrl-rp1","line_count":1,"lines":[{"offset":4,"name":"GPIO4","consumer":"w1","used":true,"output":false,"active_low":false,"pull":"up"}]}`
	if got := string(encode(chip)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

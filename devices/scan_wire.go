package devices

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// FoundProbe is a probe on a 1-Wire bus; Driver is "" where there is none for its family.
type FoundProbe struct {
	ID     string `json:"id"`
	Driver string `json:"driver,omitempty"`
}

// masterPrefix is how the kernel names a 1-Wire bus, beside the probes on it.
const masterPrefix = "w1_bus_master"

func (f *Found) oneWire(sys string) {
	entries, err := os.ReadDir(filepath.Join(sys, "bus/w1/devices"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		f.problem("1-Wire: %v", err)
		return
	}
	masters := 0
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), masterPrefix) {
			masters++
			continue
		}
		family, _, ok := strings.Cut(e.Name(), "-")
		if _, err := strconv.ParseUint(family, 16, 8); !ok || err != nil {
			continue
		}
		p := FoundProbe{ID: e.Name()}
		if family == "28" {
			p.Driver = "ds18b20"
		}
		f.Probes = append(f.Probes, p)
	}
	switch {
	case len(f.Probes) > 0:
	case masters == 0:
		f.problem("1-Wire: there is no bus: dtoverlay=w1-gpio in config.txt, the probe's data line at GPIO4")
	default:
		f.problem("1-Wire: there is a bus, but no probe: check the wiring, and the resistor of 4.7 kΩ between the data line and 3.3 V")
	}
}

// text says what a probe is.
func (p *FoundProbe) text() string {
	switch family, _, _ := strings.Cut(p.ID, "-"); {
	case p.Driver != "":
		return p.Driver
	case family == "00":
		return "no probe, but noise: check the wiring and the resistor of 4.7 kΩ"
	default:
		return "no driver for the family " + family
	}
}

package main

import (
	"context"
	"fmt"
	"math"
)

const (
	probeSubject = "devices/probe"
	probeFault   = probeSubject + "/fault"
)

// playProbes reads a DS18B20 through the kernel's own driver, unplugs it, spoils its checksum and shorts its line: never a wrong value, a fault each time, and
// the right value afterwards. A short line reads as zeros, whose checksum is right: 0 °C is what must not come.
func playProbes(ctx context.Context, l *lab) (string, error) {
	w, err := l.prepare(ctx, arm64(), "probes", func(url string) []string {
		return []string{devices("{name: probe, type: ds18b20, probe: " + probe0 + ", interval: 2s}"), section("forwarders", []string{cloud(url)})}
	})
	if err != nil {
		return "", err
	}
	defer w.close(ctx)
	const sixteenths = 25*w1PerKelvin + 1 // +25.0625 °C, the datasheet's example
	if err := w.set(ctx, w1Debug+"t0", sixteenths); err != nil {
		return "", err
	}
	if err := w.gateway.start(ctx); err != nil {
		return "", err
	}
	if _, err := w.arrived(ctx, 1, "device.reading", probeSubject); err != nil {
		return "", err
	}
	for _, fault := range []struct {
		what, file    string
		broken, whole int
	}{{"unplugged", "present0", 0, 1}, {"its checksum wrong", "badcrc", 1000, 0}, {"its line shorted", "stuck", 1, 0}} {
		l.say("probes: %s", fault.what)
		faults, recovered := len(w.up.ledger.of("device.fault", probeFault)), len(w.up.ledger.of("device.recovered", probeFault))
		if err := w.set(ctx, w1Debug+fault.file, fault.broken); err != nil {
			return "", err
		}
		if _, err := w.arrived(ctx, faults+1, "device.fault", probeFault); err != nil {
			return "", fmt.Errorf("%s: %w", fault.what, err)
		}
		if err := w.set(ctx, w1Debug+fault.file, fault.whole); err != nil {
			return "", err
		}
		if _, err := w.arrived(ctx, recovered+1, "device.recovered", probeFault); err != nil {
			return "", fmt.Errorf("after %s: %w", fault.what, err)
		}
		readings := len(w.up.ledger.of("device.reading", probeSubject))
		if _, err := w.arrived(ctx, readings+1, "device.reading", probeSubject); err != nil {
			return "", fmt.Errorf("after %s: %w", fault.what, err)
		}
	}
	readings := w.up.ledger.of("device.reading", probeSubject)
	chip := simChip{driver: "probe", slack: 1e-4, want: map[string]float64{"temperature": math.Round(sixteenths*1000.0/w1PerKelvin) / 1000}}
	for _, a := range readings {
		if err := chip.matches(&a); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d readings, all of 25.062 °C; unplugged, checksum wrong, line shorted: told, and back", len(readings)), nil
}

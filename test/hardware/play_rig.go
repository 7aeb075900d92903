package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gateway/test/hardware/talk"
)

// playRig shows that what the other scenarios stand on is there: without it they could not tell a fault of the gateway from one of the machine.
func playRig(ctx context.Context, l *lab) (string, error) {
	m, err := l.machine(ctx, arm64(), "rig")
	if err != nil {
		return "", err
	}
	defer m.cut()
	var numbers []string
	for _, look := range []func(context.Context, *machine) (string, error){lookAtLines, lookAtEdges, lookAtTrace, lookAtChips, lookAtFaults, lookAtProbes, lookAtProcesses} {
		said, err := look(ctx, m)
		if err != nil {
			return strings.Join(numbers, "; "), err
		}
		numbers = append(numbers, said)
	}
	return strings.Join(numbers, "; "), nil
}

// lookAtLines makes edges that nobody listens to, at a rate.
func lookAtLines(ctx context.Context, m *machine) (string, error) {
	made, err := m.edges(ctx, talk.Train{Line: "GPIO17", Count: 501, Period: 2 * time.Millisecond})
	if err != nil {
		return "", err
	}
	took := made.Last - made.First
	if made.Edges != 501 || !made.High || took < time.Second || took > 10*time.Second {
		return "", fmt.Errorf("want 501 edges in a second, or some more on a busy machine, and a high level at the end, got %+v", *made)
	}
	made, err = m.edges(ctx, talk.Train{Line: "GPIO17", Count: 1, Bounces: 5, BouncePeriod: time.Millisecond})
	if err == nil && (made.Edges != 11 || made.High) {
		err = fmt.Errorf("want 11 edges of a bouncing contact and a low level, got %+v", *made)
	}
	return fmt.Sprintf("501 edges in %s, the latest by %s", took.Round(time.Millisecond), made.Late.Round(10*time.Microsecond)), err
}

// lookAtEdges is the control of the edges scenario: listening without a gateway, nothing is lost at 100 Hz, and a listener that stands still loses what the
// kernel has no room for, which its numbers tell.
func lookAtEdges(ctx context.Context, m *machine) (string, error) {
	made, seen, err := m.watch(ctx, talk.Train{Line: "GPIO22", Count: 300, Period: 10 * time.Millisecond}, false)
	if err != nil {
		return "", err
	}
	if seen.Events != made.Edges || seen.Missing != 0 {
		return "", fmt.Errorf("of %d edges at 100 Hz the kernel gave %+v, want all", made.Edges, *seen)
	}
	made, stalled, err := m.watch(ctx, talk.Train{Line: "GPIO22", Count: 300, Period: time.Millisecond}, true)
	if err != nil {
		return "", err
	}
	if stalled.Missing == 0 || stalled.Events+stalled.Missing != int(stalled.Last) || int(stalled.Last) > made.Edges {
		return "", fmt.Errorf("of %d edges at 1,000 Hz a listener that stood still was given %+v, want some missing, and all accounted for", made.Edges, *stalled)
	}
	return fmt.Sprintf("%d of %d edges at 100 Hz; standing still %d received + %d missing of %d at 1,000 Hz", seen.Events, seen.Events, stalled.Events,
		stalled.Missing, made.Edges), nil
}

// lookAtTrace drives a line through sysfs, which is not how the gateway does it, and reads the timeline.
func lookAtTrace(ctx context.Context, m *machine) (string, error) {
	n, err := m.number(ctx, slices.Index(talk.Lines[:], "RELAY"))
	if err == nil {
		err = m.trace(ctx)
	}
	if err != nil {
		return "", err
	}
	if _, err := m.shell(ctx, fmt.Sprintf("cd /sys/class/gpio && echo %d >export && cd gpio%d && echo low >direction && echo 1 >value && echo 0 >value && echo in >direction && echo %d >/sys/class/gpio/unexport",
		n, n, n)); err != nil {
		return "", err
	}
	steps, err := m.traced(ctx)
	if err != nil {
		return "", err
	}
	levels, inputs := driven(steps, n)
	if !slices.Equal(levels, []bool{false, true, false}) || inputs < 1 {
		return "", fmt.Errorf("line %d: want low, high, low and an input, got %v and %d in %v", n, levels, inputs, steps)
	}
	return fmt.Sprintf("%d traced steps", len(steps)), nil
}

// lookAtChips reads from every chip what its driver would.
func lookAtChips(ctx context.Context, m *machine) (string, error) {
	chips := simChips()
	for _, c := range chips {
		if err := m.load(ctx, &c); err != nil {
			return "", err
		}
	}
	for _, x := range []struct {
		bus, addr int
		write     string
		want      []byte
	}{
		{1, 0x76, "\xd0", []byte{0x58}}, {2, 0x76, "\xd0", []byte{0x60}}, {1, 0x77, "\xd0", []byte{0x55}}, {1, 0x76, "\xfa", bosch280(0x58)[0xfa:0xfd]},
		{1, 0x44, "\xfd", sensirion(0x6666, 0x72b0)}, {1, 0x44, "\x89", sensirion(0x0f1e, 0x2d3c)}, {1, 0x38, "", aht20()}, {1, 0x23, "\x10", []byte{0x83, 0x90}},
		{1, 0x62, "\xec\x05", sensirion(0x01f4, 0x6667, 0x5eb9)}, {1, 0x48, "\x00", []byte{0x40, 0x00}}, {1, 0x18, "\x05", []byte{0xc1, 0x94}},
		{1, 0x20, "\x12", []byte{0x0f, 0xa5}},
		{1, 0x77, "\xf4\x2e", nil}, {1, 0x77, "\xf6", []byte{0x6c, 0xfa}}, {1, 0x77, "\xf4\x34", nil}, {1, 0x77, "\xf6", []byte{0x5d, 0x23}}, // UT 27898, UP 23843
		{1, 0x40, "\x05\x50\x00", nil}, {1, 0x40, "\x04", []byte{0x27, 0x10}}, {1, 0x40, "\x03", []byte{0x17, 0x66}}, // as the datasheet: 10 A, 119.8 W
	} {
		got, err := m.i2c(ctx, x.bus, x.addr, []byte(x.write), len(x.want))
		if err != nil {
			return "", fmt.Errorf("chip 0x%02x on bus %d: %w", x.addr, x.bus, err)
		}
		if !bytes.Equal(got, x.want) && len(x.want) > 0 {
			return "", fmt.Errorf("chip 0x%02x on bus %d answers %x with % x, want % x", x.addr, x.bus, x.write, got, x.want)
		}
	}
	return fmt.Sprintf("%d chips answer", len(chips)), nil
}

// lookAtFaults has a chip refuse, hang, garble, disappear and come back.
func lookAtFaults(ctx context.Context, m *machine) (string, error) {
	chip := simChip{bus: 1, addr: 0x76}
	read := func() ([]byte, error) { return m.i2c(ctx, chip.bus, chip.addr, []byte{0xd0}, 1) }
	for _, fault := range []struct {
		file  string
		value any
		want  string // the error; "": the value is wrong
	}{
		{busFile(1, "nak"), 1, "no such device or address"}, {busFile(1, "hang_ms"), 200, "timed out"}, {busFile(1, "garble"), 1, ""},
		{chip.file("gone"), 1, "no such device or address"},
	} {
		if err := m.set(ctx, fault.file, fault.value); err != nil {
			return "", err
		}
		got, err := read()
		if fault.want == "" && (err != nil || got[0] == 0x58) || fault.want != "" && (err == nil || !strings.Contains(err.Error(), fault.want)) {
			return "", fmt.Errorf("with %s at %v: got % x and %w, want %q", fault.file, fault.value, got, err, fault.want)
		}
		if err := m.set(ctx, fault.file, 0); err != nil {
			return "", err
		}
		if got, err = read(); err != nil || got[0] != 0x58 {
			return "", fmt.Errorf("after %s: got % x and %w, want the chip back", fault.file, got, err)
		}
	}
	return "refused, hung, garbled, unplugged, back", nil
}

// Files of the simulated 1-Wire bus.
const (
	probe0      = "28-0000a1b2c300"
	probe1      = "28-0000a1b2c301"
	w1Debug     = "/sys/kernel/debug/w1sim/"
	w1Devices   = "/sys/bus/w1/devices/"
	w1PerKelvin = 16
)

// lookAtProbes reads a probe, unplugs it and plugs it in.
func lookAtProbes(ctx context.Context, m *machine) (string, error) {
	if err := m.set(ctx, w1Debug+"t0", 25*w1PerKelvin+1); err != nil {
		return "", err
	}
	began := time.Now()
	got, err := m.word(ctx, w1Devices+probe0+"/temperature")
	took := time.Since(began)
	if err != nil || got != "25062" {
		return "", fmt.Errorf("probe: got %q and %w, want 25062", got, err)
	}
	if err := m.set(ctx, w1Debug+"present0", 0); err != nil {
		return "", err
	}
	if got, err := m.word(ctx, w1Devices+probe0+"/temperature"); err == nil && got != "" {
		return "", fmt.Errorf("an unplugged probe says %q", got)
	}
	if other, err := m.word(ctx, w1Devices+probe1+"/temperature"); err != nil || other != "21062" {
		return "", fmt.Errorf("the other probe says %q and %w, want 21062", other, err)
	}
	if err := m.set(ctx, w1Debug+"present0", 1); err != nil {
		return "", err
	}
	if got, err := m.word(ctx, w1Devices+probe0+"/temperature"); err != nil || got != "25062" {
		return "", fmt.Errorf("plugged in again: got %q and %w, want 25062", got, err)
	}
	return fmt.Sprintf("a probe in %s", took.Round(10*time.Millisecond)), nil
}

// lookAtProcesses starts and kills a program, and cuts the power: what was synced is there, the rest is not.
func lookAtProcesses(ctx context.Context, m *machine) (string, error) {
	if err := m.start(ctx, "sleeper", "/tmp/sleeper.log", false, "/bin/sleep", "1000"); err != nil {
		return "", err
	}
	if err := m.kill(ctx, "sleeper"); err != nil {
		return "", err
	}
	if _, err := m.shell(ctx, "echo kept >/data/kept && sync && echo lost >/data/lost"); err != nil {
		return "", err
	}
	began := time.Now()
	if err := m.cutAndBoot(ctx); err != nil {
		return "", err
	}
	kept, err := m.word(ctx, "/data/kept")
	if err != nil || kept != "kept" {
		return "", fmt.Errorf("after the power cut a synced file has %q: %w", kept, err)
	}
	if lost, err := m.word(ctx, "/data/lost"); err == nil && lost == "lost" {
		return "", errors.New("a file that nobody synced survived the power cut: the machine is too kind to tell anything")
	}
	return fmt.Sprintf("a power cut and a boot in %.1f s", time.Since(began).Seconds()), nil
}

package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Targets of the row devices.
const (
	edgeTarget = 5.0 // ms, the 99th percentile from an edge to its event on the disk
	idleTarget = 1.0 // % of a core
)

// devices runs the benchmarks of package devices, in turn, as often as there are rounds: pins and chips are imitated there, the log is real.
func (b *bench) devices(ctx context.Context) ([]line, error) {
	program := filepath.Join(b.dir, "devices.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", program, "./devices")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the benchmarks of devices: %w: %s", err, out)
	}
	values := map[string][]float64{}
	for range b.rounds {
		cmd := exec.CommandContext(ctx, program, "-test.run", "^$", "-test.bench", "^BenchmarkDevices", "-test.benchtime", "1x")
		cmd.Env = append(os.Environ(), "TMPDIR="+b.dir) // the disk to measure
		out, err := cmd.CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("run the benchmarks of devices: %w: %s", err, out)
		}
		for name, v := range benchValues(string(out)) {
			values[name] = append(values[name], v)
		}
	}
	p50, p99, rate, idle := median(values["µs-p50"])/1000, median(values["µs-p99"])/1000, median(values["edges/s"]), median(values["%core"])
	return []line{
		{
			load: "1,000 edges a second of a pin", ours: fmt.Sprintf("p99 %.2f ms", p99), target: fmt.Sprintf("≤ %g ms from edge to disk", edgeTarget), verdict: verdict(p99 <= edgeTarget),
			details: []string{fmt.Sprintf("%.0f edges a second, the median took %.2f ms; the pin is imitated, the log and its syncs are real; rounds: %.1f ms", rate, p50, scaled(values["µs-p99"], 0.001))},
		},
		{
			load: "20 inputs at rest, 10 sensors at 1 s", ours: fmt.Sprintf("%.2f %% of a core", idle), target: fmt.Sprintf("≤ %g %%", idleTarget), verdict: verdict(idle <= idleTarget),
			details: []string{fmt.Sprintf("the chips are imitated, their drivers and the log are real; rounds: %.2f %%", values["%core"])},
		},
	}, nil
}

// benchValues are the values of Go's benchmark lines by their units.
func benchValues(out string) map[string]float64 {
	values := map[string]float64{}
	for s := bufio.NewScanner(strings.NewReader(out)); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) < 2 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		for i := 2; i+1 < len(fields); i += 2 {
			if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
				values[fields[i+1]] = v
			}
		}
	}
	return values
}

func scaled(values []float64, by float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = v * by
	}
	return out
}

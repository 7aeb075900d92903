package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gateway/test/hardware/talk"
	"gateway/test/rig"
	"gateway/test/vm"
)

// playGpiochip runs the tests of devices/gpiochip in the guest, against real lines.
func playGpiochip(ctx context.Context, l *lab) (string, error) {
	program := filepath.Join(l.dir, "gpiochip.test")
	if err := buildTests(ctx, program, "./devices/gpiochip", arm64()); err != nil {
		return "", err
	}
	m, err := l.machine(ctx, arm64(), "gpiochip")
	if err != nil {
		return "", err
	}
	defer m.cut()
	if err := m.push(ctx, program, "/tmp/gpiochip.test"); err != nil {
		return "", err
	}
	out, exit, err := m.run(ctx, nil, []string{"GATEWAY_GPIOSIM=1", "GATEWAY_GPIOSIM_LABEL=" + talk.ChipLabel}, "/tmp/gpiochip.test", "-test.v", "-test.timeout", "5m")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(l.dir, "gpiochip.txt"), []byte(out), 0o644); err != nil {
		return "", err
	}
	passed, failed, skipped := strings.Count(out, "--- PASS"), strings.Count(out, "--- FAIL"), strings.Count(out, "--- SKIP")
	numbers := fmt.Sprintf("%d tests passed, %d failed, %d skipped", passed, failed, skipped)
	if exit != 0 || failed > 0 || passed == 0 || skipped > 0 {
		return numbers, fmt.Errorf("the tests ended with %d: %s", exit, out[max(0, len(out)-3000):])
	}
	return numbers, nil
}

// buildTests builds a package's test binary for a board.
func buildTests(ctx context.Context, out, pkg string, b board) error {
	top, err := rig.Top()
	if err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	args := append([]string{"CGO_ENABLED=0"}, b.env...)
	if _, err := vm.Command(ctx, top, "env", append(args, "go", "test", "-c", "-o", out, pkg)...); err != nil {
		return err
	}
	if _, err := os.Stat(out); err != nil {
		return fmt.Errorf("%s has no tests: %w", pkg, err)
	}
	return nil
}

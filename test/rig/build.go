package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"gateway/internal/load"
)

// Top is the folder of this module.
func Top() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	mod := strings.TrimSpace(string(out))
	if filepath.Base(mod) != "go.mod" {
		return "", fmt.Errorf("not inside the module: go env GOMOD is %q", mod)
	}
	return filepath.Dir(mod), nil
}

// Build builds a main package of this module without cgo, stripped, with env added to the environment.
func Build(ctx context.Context, out, pkg string, env ...string) error {
	top, err := Top()
	if err != nil {
		return err
	}
	return goBuild(ctx, top, out, pkg, append([]string{"CGO_ENABLED=0"}, env...))
}

// BuildTool builds a program that tools/go.mod names.
func BuildTool(ctx context.Context, out, pkg string) error {
	top, err := Top()
	if err != nil {
		return err
	}
	return goBuild(ctx, filepath.Join(top, "tools"), out, pkg, nil)
}

func goBuild(ctx context.Context, dir, out, pkg string, env []string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, pkg)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", pkg, err, text)
	}
	return nil
}

// RunLoad runs the load program, built from internal/load/cmd, in a process of its own.
func RunLoad(ctx context.Context, program string, c load.Config) (load.Result, error) {
	var r load.Result
	cmd := exec.CommandContext(ctx, program, "-addr", c.Addr, "-clients", strconv.Itoa(c.Clients), "-window", strconv.Itoa(c.Window),
		"-qos", strconv.Itoa(int(c.QoS)), "-payload", c.Payload, "-size", strconv.Itoa(c.Size), "-devices", strconv.Itoa(c.Devices),
		"-seed", strconv.FormatUint(c.Seed, 10), "-prefix", c.Prefix, "-first-client", strconv.Itoa(c.FirstClient), "-count", strconv.FormatUint(c.Count, 10),
		"-warmup", c.Warmup.String(), "-duration", c.Duration.String(), "-rate", fmt.Sprint(c.Rate), "-patience", c.Patience.String())
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("load on %s: %w: %s", c.Addr, err, stderr.String())
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return r, fmt.Errorf("load on %s printed %q: %w", c.Addr, out, err)
	}
	return r, nil
}

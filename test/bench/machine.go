package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"gateway/test/rig"
)

// machine describes where this runs, and what with, as a Markdown list.
func (b *bench) machine(ctx context.Context) string {
	mosquitto, nats := "not installed", "not built"
	if path, err := rig.FindMosquitto(); err == nil {
		mosquitto = rig.MosquittoVersion(path)
	}
	if b.nats != "" {
		if out, err := exec.CommandContext(ctx, b.nats, "--version").Output(); err == nil {
			nats = strings.TrimSpace(string(out))
		}
	}
	fs := filesystem(b.dir)
	if fs == "tmpfs" || fs == "overlay" {
		fs += " (**not a disk: what is synced here means nothing**)"
	}
	var out strings.Builder
	for _, item := range [][2]string{
		{"date", time.Now().UTC().Format("2006-01-02 15:04 UTC")},
		{"processor", fmt.Sprintf("%s, %d cores, %s", processor(), runtime.NumCPU(), runtime.GOARCH)},
		{"kernel", firstLine("/proc/sys/kernel/osrelease")},
		{"filesystem", fs},
		{"Go", runtime.Version()},
		{"Mosquitto", mosquitto},
		{"NATS", nats},
	} {
		fmt.Fprintf(&out, "- %s: %s\n", item[0], item[1])
	}
	return out.String()
}

func firstLine(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	text, _, _ := strings.Cut(string(b), "\n")
	return text
}

func processor() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for text := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(text, ":")
		if key = strings.TrimSpace(key); key == "model name" || key == "Model" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// filesystem is the type of the mount that dir is on.
func filesystem(dir string) string {
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "unknown"
	}
	best, kind := "", "unknown"
	for text := range strings.Lines(string(b)) {
		f := strings.Fields(text)
		if len(f) < 3 || len(f[1]) < len(best) {
			continue
		}
		if rel, err := filepath.Rel(f[1], dir); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
			best, kind = f[1], f[2]
		}
	}
	return kind
}

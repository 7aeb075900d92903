package main

import (
	"context"
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gateway/test/vm"
)

// ours are the sources of the modules that simulate buses.
//
//go:embed modules/*.c
var ours embed.FS

// built names the modules that buildModules leaves, in the order in which they are loaded.
var built = []string{"irq_sim.ko", "gpio-sim.ko", "i2csim.ko", "w1sim.ko"}

// buildModules compiles what simulates pins and buses, once for a kernel and the sources, and returns the folder with it.
func (k *kernel) buildModules(ctx context.Context, say func(string, ...any)) (string, error) {
	sources, err := fs.Glob(ours, "modules/*.c")
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	texts := map[string][]byte{}
	for _, name := range sources {
		text, err := ours.ReadFile(name)
		if err != nil {
			return "", err
		}
		texts[filepath.Base(name)] = text
		sum.Write(text)
	}
	dir := filepath.Join(k.dir, fmt.Sprintf("built-%x", sum.Sum(nil)[:6]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	say("building %s for %s", strings.Join(built, ", "), k.version)
	work, err := os.MkdirTemp(k.dir, ".build-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(work) }()
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(work, name), text, 0o644); err != nil {
			return "", err
		}
	}
	if err := k.compile(ctx, work); err != nil {
		return "", fmt.Errorf("build modules for %s: %w", k.version, err)
	}
	return dir, os.Rename(work, dir)
}

// compile builds all modules in work, which has our sources already.
func (k *kernel) compile(ctx context.Context, work string) error {
	if _, err := vm.Command(ctx, k.dir, "cp", "-r", "gpio/.", work); err != nil {
		return err
	}
	irq := filepath.Join(work, "irq_sim.c")
	// irq_to_desc is not exported to modules, and the file is no module of its own.
	if err := edit(irq, "handle_simple_irq(irq_to_desc(irqnum));", "generic_handle_irq(irqnum);"); err != nil {
		return err
	}
	if err := edit(irq, "#include <linux/irq_sim.h>", "#include <linux/irq_sim.h>\n#include <linux/module.h>\nMODULE_LICENSE(\"GPL\");"); err != nil {
		return err
	}
	// The table for loading by device tree is of no use here, and Debian's modpost for 32 bits takes it for one of 64.
	if err := edit(filepath.Join(work, "gpio-sim.c"), "MODULE_DEVICE_TABLE(of, gpio_sim_of_match);", ""); err != nil {
		return err
	}
	objects := strings.ReplaceAll(strings.Join(built, " "), ".ko", ".o")
	if err := os.WriteFile(filepath.Join(work, "Makefile"), []byte("obj-m := "+objects+"\n"), 0o644); err != nil {
		return err
	}
	host, err := vm.Command(ctx, work, "dpkg", "--print-architecture")
	if err != nil {
		return err
	}
	_, err = vm.Command(ctx, work, "make", "-s", "-C", filepath.Join(k.dir, "usr/src/linux-headers-"+k.version), "M="+work, "ARCH="+k.kernArch,
		"DEB_BUILD_ARCH="+strings.TrimSpace(host), "DEB_HOST_ARCH="+k.debArch, "DEB_HOST_GNU_TYPE="+k.triplet, "modules")
	return err
}

// modified is when a file was changed last, the zero time where it is not there.
func modified(name string) time.Time {
	info, err := os.Stat(name)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gateway/test/vm"
)

// kernel is Debian's kernel for a board, with what modules are built from. It is fetched once and kept in the user's cache, by its version.
type kernel struct {
	board
	dir, version   string // dir: where all of it is
	image, busybox string
	modules        []string // of the package, in the order in which they are loaded
}

// drivers are the modules of the package that the guest asks for; what they need comes with them.
var drivers = []string{"virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "ext4", "configfs", "i2c-dev", "w1_therm"}

// findKernel returns the newest kernel of the board in the cache, fetched where there is none yet.
func findKernel(ctx context.Context, b board, say func(string, ...any)) (*kernel, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("find a folder for the kernel: %w", err)
	}
	base := filepath.Join(cache, "gateway-hardware", b.name)
	if k, err := newestKernel(base, b); err == nil {
		return k, nil
	}
	say("fetching Debian's kernel, its headers and source for %s (300 MB) into %s", b.name, base)
	if err := os.MkdirAll(base, 0o755); err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp(base, ".fetch-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(work) }()
	version, err := fetchKernel(ctx, b, work)
	if err != nil {
		return nil, fmt.Errorf("fetch the kernel of %s: %w", b.name, err)
	}
	if err := os.Rename(filepath.Join(work, "done"), filepath.Join(base, version)); err != nil {
		return nil, err
	}
	return newestKernel(base, b)
}

// newestKernel takes the folder that was fetched last. A folder appears when it is whole.
func newestKernel(base string, b board) (*kernel, error) {
	folders, err := filepath.Glob(filepath.Join(base, "[0-9]*"))
	if err != nil || len(folders) == 0 {
		return nil, errors.Join(err, fmt.Errorf("there is no kernel in %s", base))
	}
	dir := slices.MaxFunc(folders, func(x, y string) int { return modified(x).Compare(modified(y)) })
	k := &kernel{board: b, dir: dir, version: filepath.Base(dir), image: filepath.Join(dir, "vmlinuz"), busybox: filepath.Join(dir, "busybox")}
	k.modules, err = filepath.Glob(filepath.Join(dir, "modules", "*.ko*")) // sorted: the names begin with a number
	return k, err
}

// fetchKernel leaves in work/done what newestKernel and buildModules want, and returns the version.
func fetchKernel(ctx context.Context, b board, work string) (string, error) {
	root, done := filepath.Join(work, "root"), filepath.Join(work, "done")
	if err := os.MkdirAll(filepath.Join(done, "modules"), 0o755); err != nil {
		return "", err
	}
	apt, err := vm.NewApt(ctx, work, b.debArch)
	if err != nil {
		return "", err
	}
	version, err := apt.Kernel(ctx, b.flavour)
	if err != nil {
		return "", err
	}
	release, major := names(version, b.flavour)
	host, err := vm.Command(ctx, work, "dpkg", "--print-architecture")
	if err != nil {
		return "", err
	}
	if err := apt.Unpack(ctx, root, "linux-image-"+version, "busybox-static", "linux-headers-"+version,
		"linux-headers-"+release+"-common", "linux-kbuild-"+major+":"+strings.TrimSpace(host), "linux-source-"+major); err != nil {
		return "", err
	}
	modules, err := vm.Modules(ctx, root, version, drivers)
	if err != nil {
		return "", err
	}
	moves := map[string]string{filepath.Join(root, "boot/vmlinuz-"+version): "vmlinuz", vm.Busybox(root): "busybox"}
	for i, file := range modules {
		moves[file] = fmt.Sprintf("modules/%02d-%s", i, filepath.Base(file))
	}
	for from, to := range moves {
		if _, err := vm.Command(ctx, root, "cp", "-L", from, filepath.Join(done, to)); err != nil {
			return "", err
		}
	}
	return version, keepSources(ctx, root, done, version)
}

// names takes "6.1.0-44-arm64" apart: its headers' common package is called after "6.1.0-44", its source after "6.1".
func names(version, flavour string) (release, major string) {
	release = strings.TrimSuffix(version, "-"+flavour)
	parts := strings.SplitN(release, ".", 3)
	if len(parts) < 2 {
		return release, release
	}
	return release, parts[0] + "." + parts[1]
}

// Of the kernel's source, what gpio-sim and irq_sim are built from: Debian's kernels come without them.
var gpioSources = []string{"drivers/gpio/gpio-sim.c", "drivers/gpio/gpiolib.h", "kernel/irq/irq_sim.c"}

// keepSources copies the headers and the few files of the kernel's source that buildModules needs.
func keepSources(ctx context.Context, root, done, version string) error {
	archives, err := filepath.Glob(filepath.Join(root, "usr/src/linux-source-*.tar.xz"))
	if err != nil || len(archives) != 1 {
		return fmt.Errorf("want one archive of the kernel's source, got %d: %w", len(archives), err)
	}
	args := []string{"-C", done, "--transform", "s,.*/,gpio/,", "--wildcards", "-xf", archives[0]}
	for _, source := range gpioSources {
		args = append(args, "*/"+source)
	}
	if _, err := vm.Command(ctx, root, "tar", args...); err != nil {
		return err
	}
	if err := os.Remove(archives[0]); err != nil {
		return err
	}
	for _, sub := range []string{"usr/src", "usr/lib"} {
		if err := os.MkdirAll(filepath.Join(done, filepath.Dir(sub)), 0o755); err != nil {
			return err
		}
		if _, err := vm.Command(ctx, root, "cp", "-a", sub, filepath.Join(done, "usr")); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(filepath.Join(done, "usr/lib/modules")); err != nil { // where /lib is /usr/lib
		return err
	}
	makefile := filepath.Join(done, "usr/src/linux-headers-"+version, "Makefile")
	return edit(makefile, "include /usr/src/", "include ../")
}

// edit replaces all of old in a file, which must have it.
func edit(name, old, by string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if !strings.Contains(string(text), old) {
		return fmt.Errorf("%s has no %q", name, old)
	}
	return os.WriteFile(name, []byte(strings.ReplaceAll(string(text), old, by)), 0o644)
}

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"gateway/test/vm"
)

// kernel is what boots the guest: Debian's kernel for arm64, its modules in the order in which they are loaded, and a
// static busybox. The packages are fetched once and kept in the user's cache.
type kernel struct {
	image, busybox string
	modules        []string
}

// drivers are the modules that the guest asks for; what they need comes with them.
var drivers = []string{"virtio_pci", "virtio_blk", "virtio_net", "ext4"}

// tools names what the rig runs, by the Debian package that has it.
var tools = map[string][]string{
	"qemu-system-arm": {"qemu-system-aarch64"}, "e2fsprogs": {"mkfs.ext4", "e2fsck", "debugfs"},
	"kmod": {"depmod", "modprobe"}, "apt": {"apt-get", "apt-cache"}, "dpkg": {"dpkg", "dpkg-deb"}, "coreutils": {"cp"},
}

// findKernel returns the kernel in the cache, fetched where it is not there yet.
func findKernel(ctx context.Context) (*kernel, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("find a folder for the kernel: %w", err)
	}
	dir := filepath.Join(cache, "gateway-powercut", "arm64")
	if k, err := openKernel(dir); err == nil {
		return k, nil
	}
	fmt.Printf("fetching Debian's kernel and busybox for arm64 (60 MB) into %s\n", dir)
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), "fetch-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(work) }()
	if err := fetchKernel(ctx, work); err != nil {
		return nil, fmt.Errorf("fetch the kernel: %w", err)
	}
	if err := os.Rename(filepath.Join(work, "done"), dir); err != nil {
		return nil, err
	}
	return openKernel(dir)
}

// openKernel fails where the folder is missing: it appears when it is whole.
func openKernel(dir string) (*kernel, error) {
	k := &kernel{image: filepath.Join(dir, "vmlinuz"), busybox: filepath.Join(dir, "busybox")}
	var err error
	k.modules, err = filepath.Glob(filepath.Join(dir, "modules", "*.ko*")) // sorted: the names begin with a number
	if err == nil && len(k.modules) < len(drivers) {
		err = fmt.Errorf("%s has no kernel", dir)
	}
	return k, err
}

// fetchKernel leaves in work/done what openKernel wants.
func fetchKernel(ctx context.Context, work string) error {
	root := filepath.Join(work, "root")
	if err := os.MkdirAll(filepath.Join(work, "done/modules"), 0o755); err != nil {
		return err
	}
	apt, err := vm.NewApt(ctx, work, "arm64")
	if err != nil {
		return err
	}
	version, err := apt.Kernel(ctx, "arm64")
	if err != nil {
		return err
	}
	if err := apt.Unpack(ctx, root, "linux-image-"+version, "busybox-static"); err != nil {
		return err
	}
	modules, err := vm.Modules(ctx, root, version, drivers)
	if err != nil {
		return err
	}
	copies := map[string]string{filepath.Join(root, "boot/vmlinuz-"+version): "vmlinuz", vm.Busybox(root): "busybox"}
	for i, file := range modules {
		copies[file] = fmt.Sprintf("modules/%02d-%s", i, filepath.Base(file))
	}
	for from, to := range copies {
		if _, err := vm.Command(ctx, root, "cp", "-L", from, filepath.Join(work, "done", to)); err != nil {
			return err
		}
	}
	return nil
}

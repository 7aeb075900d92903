package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// kernel is what boots the guest: Debian's kernel for arm64, its modules in the order in which they are loaded, and a
// static busybox. The packages are fetched once and kept in the user's cache.
type kernel struct {
	image, busybox string
	modules        []string
}

// drivers are the modules that the guest asks for; what they need comes with them.
var drivers = []string{"virtio_pci", "virtio_blk", "virtio_net", "ext4"}

// tools names what the rig runs and the Debian package that has it.
var tools = []struct{ program, pkg string }{
	{"qemu-system-aarch64", "qemu-system-arm"}, {"mkfs.ext4", "e2fsprogs"}, {"e2fsck", "e2fsprogs"}, {"debugfs", "e2fsprogs"},
	{"depmod", "kmod"}, {"modprobe", "kmod"}, {"apt-get", "apt"}, {"dpkg-deb", "dpkg"}, {"cp", "coreutils"},
}

// needTools names all that is missing. The folders of system programs are searched also where PATH leaves them out.
func needTools() error {
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin"); err != nil {
		return err
	}
	var missing []error
	for _, t := range tools {
		if _, err := exec.LookPath(t.program); err != nil {
			missing = append(missing, fmt.Errorf("%s is missing: apt-get install %s", t.program, t.pkg))
		}
	}
	return errors.Join(missing...)
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
	for _, sub := range []string{"state/lists/partial", "cache/archives/partial", "root", "done/modules"} {
		if err := os.MkdirAll(filepath.Join(work, sub), 0o755); err != nil {
			return err
		}
	}
	// An apt of its own for the foreign architecture, over this system's package sources.
	apt := []string{"-o", "Dir::State=" + work + "/state", "-o", "Dir::Cache=" + work + "/cache", "-o", "Dir::State::status=/dev/null",
		"-o", "APT::Architecture=arm64", "-o", "APT::Architectures::=arm64", "-o", "APT::Sandbox::User=root", "-qq"}
	_, _ = command(ctx, work, "apt-get", append(apt, "update")...) // some source may have nothing for arm64; the download tells
	list, err := command(ctx, work, "apt-cache", append(apt, "depends", "linux-image-arm64")...)
	if err != nil {
		return err
	}
	_, after, found := strings.Cut(list, "Depends: linux-image-")
	if !found {
		return fmt.Errorf("the package sources of this system have no linux-image-arm64: %.300s", list)
	}
	version := strings.Fields(after)[0]
	if _, err := command(ctx, work, "apt-get", append(apt, "download", "linux-image-"+version, "busybox-static")...); err != nil {
		return err
	}
	packages, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil {
		return err
	}
	for _, p := range packages {
		if _, err := command(ctx, work, "dpkg-deb", "-x", p, "root"); err != nil {
			return err
		}
	}
	return pickFiles(ctx, work, version)
}

// pickFiles copies what the guest needs from work/root to work/done.
func pickFiles(ctx context.Context, work, version string) error {
	root := filepath.Join(work, "root")
	if _, err := os.Stat(filepath.Join(root, "lib")); errors.Is(err, os.ErrNotExist) { // newer releases have /usr/lib alone
		if err := os.Symlink("usr/lib", filepath.Join(root, "lib")); err != nil {
			return err
		}
	}
	if _, err := command(ctx, root, "depmod", "-b", root, version); err != nil {
		return err
	}
	copies := map[string]string{"boot/vmlinuz-" + version: "vmlinuz", "bin/busybox": "busybox"}
	if _, err := os.Stat(filepath.Join(root, "bin/busybox")); err != nil {
		delete(copies, "bin/busybox")
		copies["usr/bin/busybox"] = "busybox"
	}
	seen := map[string]bool{}
	for _, driver := range drivers {
		list, err := command(ctx, root, "modprobe", "-d", root, "-S", version, "--show-depends", driver)
		if err != nil {
			return err
		}
		for line := range strings.Lines(list) {
			words := strings.Fields(line)
			if len(words) < 2 || words[0] != "insmod" || seen[words[1]] { // "builtin" needs no file
				continue
			}
			name, err := filepath.Rel(root, words[1])
			if err != nil {
				return err
			}
			copies[name] = fmt.Sprintf("modules/%02d-%s", len(seen), filepath.Base(name))
			seen[words[1]] = true
		}
	}
	for from, to := range copies {
		if _, err := command(ctx, root, "cp", "-L", from, filepath.Join(work, "done", to)); err != nil {
			return err
		}
	}
	return nil
}

// command runs a program in dir and returns what it printed on standard output; the error has the rest.
func command(ctx context.Context, dir, program string, args ...string) (string, error) {
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Stderr = dir, &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w: %.500s %.500s", program, err, stderr.String(), out)
	}
	return string(out), nil
}

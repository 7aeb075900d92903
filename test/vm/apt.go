package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Apt is an apt of its own, for an architecture that may be foreign, over this system's package sources. Nothing is installed.
type Apt struct {
	work    string
	options []string
}

// NewApt keeps its state in work, an empty folder, and reads the lists of packages.
func NewApt(ctx context.Context, work, arch string) (*Apt, error) {
	for _, sub := range []string{"state/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(work, sub), 0o755); err != nil {
			return nil, err
		}
	}
	host, err := Command(ctx, work, "dpkg", "--print-architecture")
	if err != nil {
		return nil, err
	}
	a := &Apt{work: work, options: []string{"-o", "Dir::State=" + work + "/state", "-o", "Dir::Cache=" + work + "/cache", "-o", "Dir::State::status=/dev/null",
		"-o", "APT::Architecture=" + arch, "-o", "APT::Architectures::=" + arch, "-o", "APT::Architectures::=" + strings.TrimSpace(host),
		"-o", "APT::Sandbox::User=root", "-qq"}}
	_, _ = Command(ctx, work, "apt-get", append(a.options, "update")...) // some source may have nothing for arch; the download tells
	return a, nil
}

// Kernel is the version of Debian's kernel of a flavour ("arm64"), such as "6.1.0-44-arm64".
func (a *Apt) Kernel(ctx context.Context, flavour string) (string, error) {
	list, err := Command(ctx, a.work, "apt-cache", append(a.options, "depends", "linux-image-"+flavour)...)
	if err != nil {
		return "", err
	}
	_, after, found := strings.Cut(list, "Depends: linux-image-")
	if !found {
		return "", fmt.Errorf("the package sources of this system have no linux-image-%s: %.300s", flavour, list)
	}
	return strings.Fields(after)[0], nil
}

// Unpack downloads packages and unpacks them into root.
func (a *Apt) Unpack(ctx context.Context, root string, packages ...string) error {
	debs, err := os.MkdirTemp(a.work, "debs-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(debs) }()
	if _, err := Command(ctx, debs, "apt-get", append(append(a.options, "download"), packages...)...); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if _, err := Command(ctx, debs, "dpkg-deb", "-x", file, root); err != nil {
			return err
		}
	}
	return nil
}

// Modules are the files of a kernel's modules with what they need, in the order in which they are to be loaded. root is where the kernel was unpacked.
func Modules(ctx context.Context, root, version string, names []string) ([]string, error) {
	if _, err := os.Stat(filepath.Join(root, "lib")); errors.Is(err, os.ErrNotExist) { // newer releases have /usr/lib alone
		if err := os.Symlink("usr/lib", filepath.Join(root, "lib")); err != nil {
			return nil, err
		}
	}
	if _, err := Command(ctx, root, "depmod", "-b", root, version); err != nil {
		return nil, err
	}
	var files []string
	seen := map[string]bool{}
	for _, name := range names {
		list, err := Command(ctx, root, "modprobe", "-d", root, "-S", version, "--show-depends", name)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(list) {
			words := strings.Fields(line)
			if len(words) < 2 || words[0] != "insmod" || seen[words[1]] { // "builtin" needs no file
				continue
			}
			files = append(files, words[1])
			seen[words[1]] = true
		}
	}
	return files, nil
}

// Busybox is where the package busybox-static has put it.
func Busybox(root string) string {
	if name := filepath.Join(root, "bin/busybox"); exists(name) {
		return name
	}
	return filepath.Join(root, "usr/bin/busybox")
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gateway/internal/load/wire"
	"gateway/test/powercut/found"
	"gateway/test/rig"
	"gateway/test/vm"
)

//go:embed guest.init
var guestInit []byte

//go:embed gateway.yaml
var gatewayConfig []byte

// The guest's one user. The hash is of the lowest cost, so that a login takes an emulated processor no time.
const (
	user      = "powercut"
	usersFile = user + ":$2a$04$cYNT/wHzfBB/xNcKcMSJ7.QItL79XOAavVsUhtX3VX41twouevKpy\n"
)

// What a guest runs.
const (
	gatewayMode = "gateway"
	appendMode  = "append" // a control that must lose events
	syncMode    = "sync"   // a control that must not: the same, with fsync
)

// machine is a virtual machine that runs.
type machine struct {
	process *rig.Process
	addr    string // forwarded to port 1883 of the guest
}

// bootFile packs the guest's root, once for all boots.
func bootFile(ctx context.Context, k *kernel, dir string) (string, error) {
	files := []vm.File{{Name: "bin", Mode: vm.Folder}, {Name: "modules", Mode: vm.Folder}, {Name: "init", Mode: vm.Executable, Data: guestInit},
		{Name: "gateway.yaml", Mode: vm.Private, Data: gatewayConfig}, {Name: "users", Mode: vm.Private, Data: []byte(usersFile)}}
	sources := map[string]string{"bin/busybox": k.busybox, "gateway": filepath.Join(dir, "gateway.arm64"), "guest": filepath.Join(dir, "guest.arm64")}
	for _, m := range k.modules {
		sources["modules/"+filepath.Base(m)] = m
	}
	for pkg, name := range map[string]string{"./cmd/gateway": "gateway", "./test/powercut/guest": "guest"} {
		if err := rig.Build(ctx, sources[name], pkg, "GOOS=linux", "GOARCH=arm64"); err != nil {
			return "", err
		}
	}
	for name, path := range sources {
		f, err := vm.FromDisk(name, path)
		if err != nil {
			return "", err
		}
		files = append(files, f)
	}
	packed, err := vm.Initramfs(files)
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "initramfs")
	return name, os.WriteFile(name, packed, 0o600)
}

// boot starts a guest on an image, with all its writes and flushes going to a new log as well. Its console is
// <name>.log in the rig's folder.
func (r *powercut) boot(name, mode, image, log string) (*machine, error) {
	addr, err := rig.FreeAddr()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		return nil, err
	}
	writeback := "usual"
	if r.boots++; r.boots%2 == 0 {
		writeback = "eager"
	}
	// What the host's own disk does with a flush is of no interest here: no-flush leaves it out, below the log.
	disk := "driver=blklogwrites,node-name=disk,log-sector-size=512,file.driver=file,file.filename=" + image + ",file.cache.no-flush=on," +
		"log.driver=file,log.filename=" + log + ",log.cache.no-flush=on"
	p, err := rig.Start(r.dir, name, "qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a53", "-smp", "2", "-m", "768",
		"-kernel", r.kernel.image, "-initrd", r.initramfs, "-append", "console=ttyAMA0 quiet loglevel=3 panic=-1 powercut="+mode+" writeback="+writeback,
		"-display", "none", "-serial", "stdio", "-monitor", "none", "-no-reboot",
		"-blockdev", disk, "-device", "virtio-blk-pci,drive=disk,write-cache=on,discard=off,write-zeroes=off",
		"-netdev", "user,id=net,hostfwd=tcp:"+addr+"-:1883", "-device", "virtio-net-pci,netdev=net,romfile=")
	if err != nil {
		return nil, err
	}
	return &machine{process: p, addr: addr}, nil
}

// bootPatience is for an emulated machine beside other work.
const bootPatience = 3 * time.Minute

// errGuest says that something in the guest failed.
var errGuest = errors.New("the guest failed")

// until polls ready, and gives up at once where the guest itself says that it failed.
func (m *machine) until(ctx context.Context, ready func(console string) error) error {
	var failed error
	err := m.process.WaitUntil(ctx, bootPatience, func() error {
		text, err := os.ReadFile(m.process.Log)
		if err != nil {
			return err
		}
		if failed = complaint(string(text)); failed != nil {
			return nil
		}
		return ready(string(text))
	})
	return errors.Join(err, failed)
}

// complaint is the guest's word that something failed, nil without one.
func complaint(console string) error {
	before, rest, ok := strings.Cut(console, "POWERCUT-FAILED ")
	if !ok {
		return nil
	}
	line, _, _ := strings.Cut(rest, "\n")
	return fmt.Errorf("%w: %s: %s", errGuest, strings.TrimSpace(line), before[max(0, len(before)-1000):])
}

// worked looks, after the power was cut, whether the guest's server had come to an end before.
func (m *machine) worked() error {
	text, err := os.ReadFile(m.process.Log)
	if err != nil {
		return err
	}
	return complaint(string(text))
}

// survivors waits for what the guest found on its disk.
func (m *machine) survivors(ctx context.Context) (found.Found, error) {
	var f found.Found
	err := m.until(ctx, func(console string) error {
		var ok bool
		var err error
		if f, ok, err = found.OnConsole(console); !ok {
			return errors.New("it has not reported what is on its disk")
		}
		return err
	})
	return f, err
}

// accepts waits until the guest's server answers a CONNECT: the log is open then.
func (m *machine) accepts(ctx context.Context) error {
	return m.until(ctx, func(string) error {
		conn, _, err := wire.Dial(m.addr, options("probe"), 2*time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// options are of a CONNECT to the guest.
func options(id string) wire.Options {
	return wire.Options{ClientID: id, User: user, Password: user}
}

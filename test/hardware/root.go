package main

import (
	"context"
	_ "embed"
	"os"
	"path/filepath"

	"gateway/test/rig"
	"gateway/test/vm"
)

//go:embed guest.init
var guestInit []byte

// bootFile packs the guest's root: busybox, modules, the agent, and the gateway as /gateway. dir gets what is built for it.
func bootFile(ctx context.Context, k *kernel, dir string, say func(string, ...any)) (string, error) {
	modules, err := k.buildModules(ctx, say)
	if err != nil {
		return "", err
	}
	files := []vm.File{{Name: "init", Mode: vm.Executable, Data: guestInit}}
	for _, folder := range []string{"bin", "modules", "modules/built", "etc"} {
		files = append(files, vm.File{Name: folder, Mode: vm.Folder})
	}
	sources := map[string]string{"bin/busybox": k.busybox, "gateway": filepath.Join(dir, "gateway."+k.name), "agent": filepath.Join(dir, "agent."+k.name)}
	for _, m := range k.modules {
		sources["modules/"+filepath.Base(m)] = m
	}
	for _, m := range built {
		sources["modules/built/"+m] = filepath.Join(modules, m)
	}
	for pkg, name := range map[string]string{"./cmd/gateway": "gateway", "./test/hardware/guest": "agent"} {
		if err := rig.Build(ctx, sources[name], pkg, k.env...); err != nil {
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
	name := filepath.Join(dir, "initramfs."+k.name)
	return name, os.WriteFile(name, packed, 0o600)
}

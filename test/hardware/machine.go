package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gateway/test/hardware/talk"
	"gateway/test/rig"
	"gateway/test/vm"
)

// machine is a virtual machine with a disk, which outlives its boots. It belongs to one goroutine, its agent to all.
type machine struct {
	*agent
	kernel    *kernel
	initramfs string
	dir, name string
	disk      string
	mqtt      string // on the host; forwarded to port 1883 of the guest
	process   *rig.Process
	boots     int
}

const (
	// diskSize holds the log of a gateway and its reserve.
	diskSize = 512 << 20
	// bootPatience is for an emulated machine beside other work.
	bootPatience = 3 * time.Minute
)

// newMachine makes the disk; boot starts the machine.
func newMachine(ctx context.Context, k *kernel, initramfs, dir, name string) (*machine, error) {
	addr, err := rig.FreeAddr()
	if err != nil {
		return nil, err
	}
	m := &machine{kernel: k, initramfs: initramfs, dir: dir, name: name, disk: filepath.Join(dir, name+".img"), mqtt: addr}
	return m, vm.MakeImage(ctx, m.disk, diskSize)
}

// boot starts the machine and waits for its agent.
func (m *machine) boot(ctx context.Context) error {
	m.boots++
	socket := filepath.Join(m.dir, fmt.Sprintf("%s-%d.sock", m.name, m.boots))
	args := append(m.kernel.qemu[1:len(m.kernel.qemu):len(m.kernel.qemu)], "-kernel", m.kernel.image, "-initrd", m.initramfs,
		"-append", "console="+m.kernel.console+" quiet loglevel=3 panic=-1", "-display", "none", "-serial", "stdio", "-monitor", "none", "-no-reboot",
		"-drive", "if=none,id=disk,format=raw,cache=unsafe,file="+m.disk, "-device", "virtio-blk-pci,drive=disk",
		"-netdev", "user,id=net,hostfwd=tcp:"+m.mqtt+"-:1883", "-device", "virtio-net-pci,netdev=net,romfile=",
		"-chardev", "socket,id=agent,server=on,wait=off,path="+socket, "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name="+talk.PortName)
	name := fmt.Sprintf("%s-boot%d", m.name, m.boots)
	if err := os.Remove(filepath.Join(m.dir, name+".log")); err != nil && !errors.Is(err, os.ErrNotExist) { // of an earlier run in the same folder
		return err
	}
	p, err := rig.Start(m.dir, name, m.kernel.qemu[0], args...)
	if err != nil {
		return err
	}
	m.process = p
	if err := m.greet(ctx, socket); err != nil {
		m.cut()
		return fmt.Errorf("boot %s: %w", m.name, err)
	}
	return nil
}

// greet connects to the agent's port, which qemu opens at once, and waits until the guest has come so far.
func (m *machine) greet(ctx context.Context, socket string) error {
	var conn net.Conn
	err := m.process.WaitUntil(ctx, bootPatience, func() (err error) {
		conn, err = net.Dial("unix", socket)
		return err
	})
	if err != nil {
		return err
	}
	m.agent = newAgent(conn)
	return m.process.WaitUntil(ctx, bootPatience, func() error {
		text, err := os.ReadFile(m.process.Log)
		if err == nil && !strings.Contains(string(text), "AGENT-READY") {
			err = errors.New("its agent is not there")
		}
		if _, failed, ok := strings.Cut(string(text), "GUEST-FAILED "); ok {
			err = fmt.Errorf("%w: %.100s", errGuest, failed)
		}
		return err
	})
}

// cut is a power cut: the machine is gone from one instant to the next, and what its kernel had not yet written with it.
func (m *machine) cut() {
	if m.process != nil {
		m.process.Kill()
	}
	if m.agent != nil {
		m.close()
	}
}

// cutAndBoot is a power cut and the power's return.
func (m *machine) cutAndBoot(ctx context.Context) error {
	m.cut()
	return m.boot(ctx)
}

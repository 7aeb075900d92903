package devices

import (
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Requests of linux/i2c-dev.h, and the flag of linux/i2c.h that says "read".
const (
	i2cRetries = 0x0701
	i2cTimeout = 0x0702 // in units of 10 ms
	i2cRdwr    = 0x0707
	i2cRead    = 0x0001
)

// i2cMsg and i2cTransaction are struct i2c_msg and struct i2c_rdwr_ioctl_data. Their pointers keep the buffers alive.
type i2cMsg struct {
	addr, flags, length uint16
	buf                 *byte
}

type i2cTransaction struct {
	msgs *i2cMsg
	n    uint32
}

// i2cDevice is /dev/i2c-N. periph's own opens the same file, but lets neither a timeout nor the number of retries be set, and loses the error's number.
type i2cDevice struct {
	file    *os.File
	timeout time.Duration // as the kernel knows it, 0 before
}

// openI2C opens a bus by its path.
func openI2C(path string) (transport, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	d := &i2cDevice{file: os.NewFile(uintptr(fd), path)}
	if err := d.set(i2cRetries, 0); err != nil {
		d.file.Close()
		return nil, fmt.Errorf("%s: set retries: %w", path, err)
	}
	return d, nil
}

// Transfer is a write, a read, or both with a repeated start between them.
func (d *i2cDevice) Transfer(addr uint16, w, r []byte, timeout time.Duration) error {
	msgs := make([]i2cMsg, 0, 2)
	if len(w) > 0 {
		msgs = append(msgs, i2cMsg{addr: addr, length: uint16(len(w)), buf: &w[0]})
	}
	if len(r) > 0 {
		msgs = append(msgs, i2cMsg{addr: addr, flags: i2cRead, length: uint16(len(r)), buf: &r[0]})
	}
	return d.transact(msgs, timeout)
}

// Knock is a write of nothing. Adapters that cannot do it, such as those of a Raspberry Pi 5, say so.
func (d *i2cDevice) Knock(addr uint16, timeout time.Duration) error {
	return d.transact([]i2cMsg{{addr: addr, buf: new(byte)}}, timeout)
}

func (d *i2cDevice) transact(msgs []i2cMsg, timeout time.Duration) error {
	if len(msgs) == 0 {
		return nil
	}
	if timeout != d.timeout {
		if err := d.set(i2cTimeout, uintptr(max((timeout+9*time.Millisecond)/(10*time.Millisecond), 1))); err != nil {
			return fmt.Errorf("set timeout: %w", err)
		}
		d.timeout = timeout
	}
	t := i2cTransaction{msgs: &msgs[0], n: uint32(len(msgs))}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, d.file.Fd(), i2cRdwr, uintptr(unsafe.Pointer(&t))); errno != 0 {
		return errno
	}
	return nil
}

func (d *i2cDevice) set(request, value uintptr) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, d.file.Fd(), request, value); errno != 0 {
		return errno
	}
	return nil
}

// Close closes the file.
func (d *i2cDevice) Close() error { return d.file.Close() }

package main

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"gateway/test/hardware/talk"
)

// What linux/i2c-dev.h and linux/i2c.h call I2C_RDWR, struct i2c_msg and struct i2c_rdwr_ioctl_data.
const (
	ioctlRDWR = 0x0707
	flagRead  = 0x0001
)

type i2cMessage struct {
	addr, flags, len uint16
	buf              *byte
}

type i2cTransfer struct {
	messages *i2cMessage
	n        uint32
}

// transfer writes Data, if there is any, and then reads Limit bytes, if that is not 0, in one transfer.
func transfer(r *talk.Request) (talk.Reply, error) {
	file, err := os.OpenFile(fmt.Sprintf("/dev/i2c-%d", r.Bus), os.O_RDWR, 0)
	if err != nil {
		return talk.Reply{}, err
	}
	defer file.Close()
	var messages []i2cMessage
	if len(r.Data) > 0 || r.Limit == 0 {
		data := append([]byte{}, r.Data...)
		messages = append(messages, i2cMessage{addr: uint16(r.Addr), len: uint16(len(data)), buf: unsafe.SliceData(append(data, 0))})
	}
	answer := make([]byte, r.Limit)
	if r.Limit > 0 {
		messages = append(messages, i2cMessage{addr: uint16(r.Addr), flags: flagRead, len: uint16(r.Limit), buf: unsafe.SliceData(answer)})
	}
	what := i2cTransfer{messages: unsafe.SliceData(messages), n: uint32(len(messages))}
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, file.Fd(), ioctlRDWR, uintptr(unsafe.Pointer(&what)))
	runtime.KeepAlive(messages)
	if errno != 0 {
		return talk.Reply{}, os.NewSyscallError("I2C_RDWR", errno)
	}
	return talk.Reply{Data: answer}, nil
}

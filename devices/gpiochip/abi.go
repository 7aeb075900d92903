package gpiochip

import (
	"bytes"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What follows is linux/gpio.h, version 2. The layouts are the same on 32 and 64 bits: every 64-bit field is at a multiple of 8.

const (
	nameSize  = 32
	maxLines  = 64
	maxAttrs  = 10
	eventSize = int(unsafe.Sizeof(lineEvent{}))
)

type chipInfo struct {
	name, label [nameSize]byte
	lines       uint32
}

type lineAttribute struct {
	id, _ uint32
	value uint64 // of a debounce period, in microseconds, the 32 bits that come first in memory
}

type configAttribute struct {
	attr lineAttribute
	mask uint64
}

type lineConfig struct {
	flags    uint64
	numAttrs uint32
	_        [5]uint32
	attrs    [maxAttrs]configAttribute
}

type lineRequest struct {
	offsets         [maxLines]uint32
	consumer        [nameSize]byte
	config          lineConfig
	numLines        uint32
	eventBufferSize uint32
	_               [5]uint32
	fd              int32
}

type lineInfo struct {
	name, consumer [nameSize]byte
	offset         uint32
	numAttrs       uint32
	flags          uint64
	attrs          [maxAttrs]lineAttribute
	_              [4]uint32
}

type lineValues struct{ bits, mask uint64 }

type lineEvent struct {
	timestamp uint64
	id        uint32
	offset    uint32
	sequence  uint32
	lineSeq   uint32
	_         [6]uint32
}

const (
	flagUsed = 1 << iota
	flagActiveLow
	flagInput
	flagOutput
	flagRising
	flagFalling
	flagOpenDrain
	flagOpenSource
	flagPullUp
	flagPullDown
	flagPullNone
)

const (
	attrOutputValues = 2
	attrDebounce     = 3

	eventRising = 1
)

// The requests, as linux/ioctl.h makes them of direction, size, type 0xB4 and number.
const (
	read      = 2
	readWrite = 3

	getChipInfo = read<<30 | uint(unsafe.Sizeof(chipInfo{}))<<16 | 0xb4<<8 | 0x01
	getLineInfo = readWrite<<30 | uint(unsafe.Sizeof(lineInfo{}))<<16 | 0xb4<<8 | 0x05
	getLine     = readWrite<<30 | uint(unsafe.Sizeof(lineRequest{}))<<16 | 0xb4<<8 | 0x07
	setConfig   = readWrite<<30 | uint(unsafe.Sizeof(lineConfig{}))<<16 | 0xb4<<8 | 0x0d
	getValues   = readWrite<<30 | uint(unsafe.Sizeof(lineValues{}))<<16 | 0xb4<<8 | 0x0e
	setValues   = readWrite<<30 | uint(unsafe.Sizeof(lineValues{}))<<16 | 0xb4<<8 | 0x0f
)

// ioctl hands arg, which the kernel reads and writes, to the descriptor.
func ioctl(fd uintptr, request uint, arg unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, uintptr(request), uintptr(arg))
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
			continue
		}
		return errno
	}
}

func text(b [nameSize]byte) string {
	head, _, _ := bytes.Cut(b[:], []byte{0})
	return string(head)
}

// abi makes the kernel's form of c, for one line.
func (c *Config) abi() (k lineConfig) {
	k.flags = c.flags()
	add := func(id uint32, value uint64) {
		k.attrs[k.numAttrs] = configAttribute{lineAttribute{id: id, value: value}, 1}
		k.numAttrs++
	}
	if c.Output {
		value := uint64(0)
		if c.Value {
			value = 1
		}
		add(attrOutputValues, value)
		return k
	}
	if c.Debounce > 0 {
		add(attrDebounce, 0)
		*(*uint32)(unsafe.Pointer(&k.attrs[k.numAttrs-1].attr.value)) = uint32((c.Debounce + time.Microsecond - 1) / time.Microsecond)
	}
	return k
}

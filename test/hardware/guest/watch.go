package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
	"unsafe"

	"gateway/test/hardware/talk"
)

// The part of linux/gpio.h that asks for the edges of one line (GPIO_V2_GET_LINE_IOCTL) and for a chip's label (GPIO_GET_CHIPINFO_IOCTL). It is apart from
// the gateway's own on purpose: the rig's control must not share its mistakes.
type lineRequest struct {
	offsets    [64]uint32
	consumer   [32]byte
	flags      uint64
	attributes uint32
	_          [5]uint32
	_          [10][3]uint64
	lines      uint32
	buffer     uint32
	_          [5]uint32
	fd         int32
}

type chipInfo struct {
	name, label [32]byte
	lines       uint32
}

const (
	getLine     = 3<<30 | unsafe.Sizeof(lineRequest{})<<16 | 0xb4<<8 | 0x07
	getChipInfo = 2<<30 | unsafe.Sizeof(chipInfo{})<<16 | 0xb4<<8 | 0x01

	flagInput, flagRising, flagFalling = 1 << 2, 1 << 4, 1 << 5

	eventSize     = 48
	eventSequence = 20 // where it stands in an event
)

// watch listens to a line while a train of edges is made on it, or only afterwards, and tells how the kernel numbered what it gave.
func watch(t *talk.Train, stalled bool) (talk.Reply, error) {
	file, err := openLine(t.Line)
	if err != nil {
		return talk.Reply{}, err
	}
	defer file.Close()
	seen := &talk.Seen{}
	ended := make(chan error, 1)
	listen := func() { ended <- readEvents(file, seen) }
	if !stalled {
		go listen()
	}
	reply, err := makeEdges(t)
	if err != nil {
		return reply, err
	}
	if stalled {
		go listen()
	}
	// One more edge when the rest was read: what the kernel had to drop shows in its number.
	if err := file.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return reply, err
	}
	if err := <-ended; err != nil {
		return reply, err
	}
	last, err := makeEdges(&talk.Train{Line: t.Line, Count: 1})
	if err != nil {
		return reply, err
	}
	reply.Made.Edges += last.Made.Edges
	reply.Seen = seen
	if err := file.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return reply, err
	}
	return reply, readEvents(file, seen)
}

// readEvents counts events until the deadline, which is no error.
func readEvents(file *os.File, seen *talk.Seen) error {
	buf := make([]byte, 64*eventSize)
	for {
		n, err := file.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
		for event := range slices.Chunk(buf[:n], eventSize) {
			sequence := binary.NativeEndian.Uint32(event[eventSequence:])
			seen.Missing += int(sequence - seen.Last - 1)
			seen.Last = sequence
			seen.Events++
		}
	}
}

// openLine asks the chip for both edges of a line.
func openLine(line string) (*os.File, error) {
	offset := slices.Index(talk.Lines[:], line)
	chip, err := openChip()
	if err != nil {
		return nil, err
	}
	defer chip.Close()
	r := lineRequest{offsets: [64]uint32{uint32(offset)}, flags: flagInput | flagRising | flagFalling, lines: 1}
	copy(r.consumer[:], "rig")
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, chip.Fd(), getLine, uintptr(unsafe.Pointer(&r))); errno != 0 {
		return nil, os.NewSyscallError("GPIO_V2_GET_LINE", errno)
	}
	if err := syscall.SetNonblock(int(r.fd), true); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(r.fd), line), nil
}

// openChip finds the simulated chip by its label.
func openChip() (*os.File, error) {
	names, err := filepath.Glob("/dev/gpiochip*")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		file, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		var info chipInfo
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, file.Fd(), getChipInfo, uintptr(unsafe.Pointer(&info))); errno == 0 &&
			string(info.label[:len(talk.ChipLabel)]) == talk.ChipLabel {
			return file, nil
		}
		file.Close()
	}
	return nil, fmt.Errorf("no chip has the label %s", talk.ChipLabel)
}

// Package gpiochip reads and drives GPIO lines through the kernel's GPIO character device, version 2 (linux/gpio.h, GPIO_V2_*, Linux 5.10 and later). periph's
// own host driver throws away what dependable input needs: the kernel's timestamps and sequence numbers, its debouncing, and the size of its buffer of
// events. A Line behaves as periph's gpio.PinIO through Pin.
package gpiochip

import (
	"errors"
	"time"

	"periph.io/x/conn/v3/gpio"
)

// ChipInfo is what the kernel says of a chip.
type ChipInfo struct {
	// Path is its device, such as /dev/gpiochip0; Name and Label are the kernel's: "gpiochip0", "pinctrl-bcm2711".
	Path, Name, Label string
	Lines             int
}

// LineInfo is what the kernel says of a line.
type LineInfo struct {
	// Offset is its number on the chip, Name what the board calls it, "" if nothing; Consumer who uses it.
	Offset         int
	Name, Consumer string
	Used, Output   bool
	ActiveLow      bool
	Pull           gpio.Pull
}

// Config is how a line is used. Levels are logical: after ActiveLow.
type Config struct {
	// Consumer is what the kernel tells others about who uses the line; up to 31 bytes.
	Consumer  string
	Output    bool
	ActiveLow bool
	// Pull is gpio.Float, PullUp, PullDown, or PullNoChange to leave it.
	Pull gpio.Pull
	// Edge is which edges of an input are told: gpio.NoEdge, RisingEdge, FallingEdge or BothEdges.
	Edge gpio.Edge
	// Debounce is how long a level must hold before the kernel tells an edge; 0: no time.
	Debounce time.Duration
	// Value is the level of an output from the first moment on: there is none in between.
	Value bool
	// OpenDrain drives low only.
	OpenDrain bool
	// Buffer is how many events the kernel keeps for us; 0: its own default, 16.
	Buffer int
}

// Event is an edge of an input.
type Event struct {
	Rising bool
	// At is the kernel's monotonic clock (CLOCK_MONOTONIC) when it happened.
	At time.Duration
	// Sequence counts the edges of the line, from 1, also those that the kernel had no room for: a hole is how many were lost.
	Sequence uint32
}

// Errors of lines.
var (
	// ErrGone says that the chip was unplugged; the line must be opened anew.
	ErrGone = errors.New("the GPIO chip is gone")
	// ErrBusy says that something else uses the line.
	ErrBusy = errors.New("the line is in use")
	// ErrNotFound says that there is no such chip or line.
	ErrNotFound = errors.New("no such GPIO line")
)

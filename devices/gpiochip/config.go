package gpiochip

import (
	"fmt"
	"math"
	"strings"
	"time"

	"periph.io/x/conn/v3/gpio"
)

// maxConsumer is the longest Config.Consumer.
const maxConsumer = nameSize - 1

func (c *Config) check() error {
	switch {
	case len(c.Consumer) > maxConsumer:
		return fmt.Errorf("the consumer's name %q is longer than %d bytes", c.Consumer, maxConsumer)
	case c.Output && (c.Edge != gpio.NoEdge || c.Debounce != 0):
		return fmt.Errorf("an output has no edges and is not debounced")
	case c.OpenDrain && !c.Output:
		return fmt.Errorf("an input is no open drain")
	case c.Edge < gpio.NoEdge || c.Edge > gpio.BothEdges || c.Pull > gpio.PullUp:
		return fmt.Errorf("there is no such edge (%d) or pull (%d)", c.Edge, c.Pull)
	case c.Debounce < 0 || c.Debounce > time.Duration(math.MaxUint32)*time.Microsecond:
		return fmt.Errorf("debounce is %s, must be from 0 to %s", c.Debounce, time.Duration(math.MaxUint32)*time.Microsecond)
	case c.Buffer < 0 || c.Buffer > MaxBuffer:
		return fmt.Errorf("the buffer is for %d events, must be from 0 to %d", c.Buffer, MaxBuffer)
	}
	return nil
}

// MaxBuffer is the largest Config.Buffer: the kernel takes more for what it is, and gives this much.
const MaxBuffer = maxLines * 16

func (c *Config) flags() (f uint64) {
	if c.ActiveLow {
		f |= flagActiveLow
	}
	switch c.Pull {
	case gpio.PullUp:
		f |= flagPullUp
	case gpio.PullDown:
		f |= flagPullDown
	case gpio.Float:
		f |= flagPullNone
	}
	if c.Output {
		if c.OpenDrain {
			f |= flagOpenDrain
		}
		return f | flagOutput
	}
	switch c.Edge {
	case gpio.RisingEdge:
		f |= flagRising
	case gpio.FallingEdge:
		f |= flagFalling
	case gpio.BothEdges:
		f |= flagRising | flagFalling
	}
	return f | flagInput
}

// String is what is asked of the kernel, for errors.
func (c *Config) String() string {
	words := []string{"input"}
	if c.Output {
		words[0] = "output"
	}
	if c.OpenDrain {
		words = append(words, "open drain")
	}
	if c.Pull != gpio.PullNoChange {
		words = append(words, map[gpio.Pull]string{gpio.Float: "no pull", gpio.PullUp: "pull up", gpio.PullDown: "pull down"}[c.Pull])
	}
	if c.Edge != gpio.NoEdge {
		words = append(words, "edges")
	}
	if c.Debounce > 0 {
		words = append(words, "debounce "+c.Debounce.String())
	}
	return strings.Join(words, ", ")
}

func pullOf(flags uint64) gpio.Pull {
	switch {
	case flags&flagPullUp != 0:
		return gpio.PullUp
	case flags&flagPullDown != 0:
		return gpio.PullDown
	case flags&flagPullNone != 0:
		return gpio.Float
	}
	return gpio.PullNoChange
}

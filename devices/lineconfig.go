package devices

import (
	"fmt"

	"periph.io/x/conn/v3/gpio"

	"gateway/devices/gpiochip"
)

// kernelBuffer is how many edges the kernel is asked to keep for us: the most that it keeps for one line (GPIO_V2_LINES_MAX * 16).
const kernelBuffer = 1024

// maxConsumer is the longest name of a line's user that the kernel takes.
const maxConsumer = 31

// inputConfig is how the kernel is asked for the line of an input.
func (s *Spec) inputConfig() (gpiochip.Config, error) {
	pulls := map[string]gpio.Pull{PullNone: gpio.Float, PullUp: gpio.PullUp, PullDown: gpio.PullDown, PullAsIs: gpio.PullNoChange}
	pull, ok := pulls[s.Pull]
	if !ok {
		return gpiochip.Config{}, fmt.Errorf("device %s: pull is %q, must be %s, %s, %s or %s", s.Name, s.Pull, PullNone, PullUp, PullDown, PullAsIs)
	}
	consumer := "gateway " + s.Name
	return gpiochip.Config{Consumer: consumer[:min(len(consumer), maxConsumer)], ActiveLow: s.Invert, Pull: pull, Debounce: s.Debounce}, nil
}

// edgeConfig is inputConfig with the edges that the device is told of.
func (s *Spec) edgeConfig() (gpiochip.Config, error) {
	edges := map[string]gpio.Edge{EdgesBoth: gpio.BothEdges, EdgesRising: gpio.RisingEdge, EdgesFalling: gpio.FallingEdge}
	edge, ok := edges[s.Edges]
	if !ok {
		return gpiochip.Config{}, fmt.Errorf("device %s: edges is %q, must be %s, %s or %s", s.Name, s.Edges, EdgesBoth, EdgesRising, EdgesFalling)
	}
	c, err := s.inputConfig()
	c.Edge, c.Buffer = edge, kernelBuffer
	return c, err
}

// wants says whether an edge is one that the device speaks of: the kernel may have been asked for more.
func (s *Spec) wants(rising bool) bool {
	return s.Edges == EdgesBoth || rising == (s.Edges == EdgesRising)
}

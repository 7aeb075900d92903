package devices

import (
	"context"
	"fmt"
	"slices"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/devices/v3/mcp23xxx"
)

// inputNames are the pins of an MCP23017, port A first.
func inputNames() []string {
	var names []string
	for _, port := range "ab" {
		for pin := range 8 {
			names = append(names, fmt.Sprintf("%c%d", port, pin))
		}
	}
	return names
}

func driverMCP23017() Driver {
	d := Driver{
		Name: "mcp23017", Title: "Microchip MCP23017: 16 inputs, sampled", Bus: BusI2C, Addresses: []int{0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27},
		Channels: inputNames(), Usual: inputNames(), Options: []string{"channels", "pull", "invert"}, MinInterval: 10 * time.Millisecond, Timeout: i2cUsual,
		open: openMCP23017,
		check: func(s *Spec) error {
			if !slices.Contains([]string{"", PullNone, PullUp}, s.Pull) {
				return fmt.Errorf("pull %q: an MCP23017 has none and up", s.Pull)
			}
			return nil
		},
	}
	level := func(names []string) []Quantity {
		quantities := make([]Quantity, len(names))
		for i, name := range names {
			quantities[i] = Quantity{name, "1", 0, 0, 1}
		}
		return quantities
	}
	d.Quantities = level(inputNames())
	d.quantities = func(s *Spec) []Quantity { return level(d.channelsOf(s)) }
	return d
}

type mcp23017Reader struct {
	port   *port
	dev    *mcp23xxx.Dev
	names  []string
	invert bool
	pulled [2]byte // the pull-ups of each port as they were set
}

// openMCP23017 makes all pins inputs: an output that something else left behind must not fight with what is connected now.
func openMCP23017(ctx context.Context, e *environment) (reader, error) {
	m := &mcp23017Reader{port: e.port, names: e.spec.Channels, invert: e.spec.Invert}
	pull := gpio.Float
	if e.spec.Pull == PullUp {
		pull, m.pulled = gpio.PullUp, [2]byte{0xff, 0xff}
	}
	if len(m.names) == 0 {
		m.names = inputNames()
	}
	err := e.port.call(ctx, func() (err error) {
		if m.dev, err = mcp23xxx.NewI2C(e.port, mcp23xxx.MCP23017, e.port.addr); err != nil {
			return err
		}
		for _, pins := range m.dev.Pins {
			for _, pin := range pins {
				if err := pin.In(pull, gpio.NoEdge); err != nil {
					return err
				}
				if err := pin.SetPolarityInverted(false); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		_ = m.Close() // the driver's error says more
		return nil, err
	}
	return m, nil
}

// Read samples a port at a time: a pin's own Read hides errors, and is a transfer for each.
func (m *mcp23017Reader) Read(ctx context.Context) ([]Reading, error) {
	levels := map[string]bool{}
	err := m.port.call(ctx, func() error {
		if err := m.unchanged(); err != nil {
			return err
		}
		for port, letter := range "ab" {
			group := *m.dev.Group(port, []int{0, 1, 2, 3, 4, 5, 6, 7})
			value, err := group.Read(0)
			if err != nil {
				return err
			}
			for pin := range 8 {
				levels[fmt.Sprintf("%c%d", letter, pin)] = value>>pin&1 == 1
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	readings := make([]Reading, len(m.names))
	for i, name := range m.names {
		readings[i] = Reading{Quantity: name, Unit: "1"}
		if levels[name] != m.invert {
			readings[i].Value = 1
		}
	}
	return readings, nil
}

// unchanged finds a chip that lost its supply for a moment: its pull-ups are off then.
func (m *mcp23017Reader) unchanged() error {
	var now [2]byte
	if err := m.port.Tx(m.port.addr, []byte{0x0c}, now[:]); err != nil {
		return err
	}
	if now != m.pulled {
		return faultf(FaultOther, "the chip has lost its settings: it was reset")
	}
	return nil
}

// Close gives back the names that periph's registry keeps of the pins.
func (m *mcp23017Reader) Close() error {
	if m.dev == nil {
		return nil
	}
	return m.dev.Close()
}

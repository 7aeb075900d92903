package devices

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"periph.io/x/conn/v3/physic"
	"periph.io/x/devices/v3/bh1750"
	"periph.io/x/devices/v3/ina219"
	"periph.io/x/devices/v3/mcp9808"
)

// The range is that of Rohm's data sheet: 16 bits at 1.2 counts a lux.
func driverBH1750() Driver {
	return Driver{
		Name: "bh1750", Title: "Rohm BH1750: light", Bus: BusI2C, Addresses: []int{int(bh1750.I2CAddr), int(bh1750.AlternativeI2CAddr)},
		Quantities: []Quantity{{"illuminance", "lx", 0, 0, 54612}}, MinInterval: 500 * time.Millisecond, Timeout: i2cUsual,
		open: func(ctx context.Context, e *environment) (reader, error) {
			b := &bh1750Reader{port: e.port}
			e.port.through = b.through
			err := e.port.call(ctx, func() (err error) {
				b.dev, err = bh1750.NewI2C(e.port, e.port.addr)
				return err
			})
			return b, err
		},
	}
}

type bh1750Reader struct {
	port *port
	dev  *bh1750.Dev
	raw  uint16 // the last result; periph's has a lux less where it is not a whole number
}

// through helps where periph's driver asks for the result by sending the command again, which starts a new measurement, after a wait that is shorter
// than the 180 ms that the data sheet allows: it waits for the rest and then only reads. The driver's reset means nothing to a chip that sleeps.
func (b *bh1750Reader) through(next func(w, r []byte) error, w, r []byte) error {
	if len(r) == 0 {
		return next(w, r)
	}
	if err := b.port.wait(40 * time.Millisecond); err != nil {
		return err
	}
	err := next(nil, r)
	b.raw = binary.BigEndian.Uint16(r)
	return err
}

func (b *bh1750Reader) Read(ctx context.Context) ([]Reading, error) {
	err := b.port.call(ctx, func() error {
		_, err := b.dev.Sense()
		return err
	})
	if err != nil {
		return nil, err
	}
	value := float64(b.raw) / 1.2
	if b.raw == math.MaxUint16 { // it may be any light from there on
		value = math.Inf(1)
	}
	return []Reading{{"illuminance", value, "lx"}}, nil
}

func (b *bh1750Reader) Close() error { return nil }

// inaVolts is the voltage over the shunt that an INA219 can measure.
const inaVolts = 0.32

// The ranges are those of Texas Instruments' data sheet SBOS448: a bus of up to 26 V, and 320 mV over the shunt.
func driverINA219() Driver {
	addresses := make([]int, 16)
	for i := range addresses {
		addresses[i] = 0x40 + i
	}
	quantities := func(s *Spec) []Quantity {
		most := inaVolts / shunt(s)
		return []Quantity{{"voltage", "V", 3, 0, 26}, {"current", "A", digitsFor(most / (1 << 15)), -most, most}, {"power", "W", digitsFor(20 * most / (1 << 15)), 0, 26 * most}}
	}
	return Driver{
		Name: "ina219", Title: "Texas Instruments INA219: voltage, current and power", Bus: BusI2C, Addresses: addresses,
		Quantities: quantities(&Spec{}), quantities: quantities, Options: []string{"shunt"}, MinInterval: 200 * time.Millisecond, Timeout: i2cUsual,
		open: openINA219,
		check: func(s *Spec) error {
			if s.Shunt != 0 && !(s.Shunt >= 0.0005 && s.Shunt <= 100) {
				return fmt.Errorf("shunt %v: want 0.0005 to 100 ohms", s.Shunt)
			}
			return nil
		},
	}
}

// shunt is the resistor of the usual boards.
func shunt(s *Spec) float64 {
	if s.Shunt == 0 {
		return 0.1
	}
	return s.Shunt
}

// digitsFor is how many decimals show steps of that size.
func digitsFor(step float64) int { return min(max(int(math.Ceil(-math.Log10(step))), 0), 9) }

type inaReader struct {
	port *port
	dev  *ina219.Dev
}

func openINA219(ctx context.Context, e *environment) (reader, error) {
	i := &inaReader{port: e.port}
	e.port.through = i.through
	opts := ina219.Opts{
		Address:       int(e.port.addr),
		SenseResistor: physic.ElectricResistance(shunt(e.spec) * float64(physic.Ohm)),
		MaxCurrent:    physic.ElectricCurrent(inaVolts / shunt(e.spec) * float64(physic.Ampere)),
	}
	err := e.port.call(ctx, func() (err error) {
		if i.dev, err = ina219.New(e.port, &opts); err != nil {
			return err
		}
		return e.port.wait(150 * time.Millisecond) // the first 128 samples of each; before them its registers hold nothing
	})
	return i, err
}

// through sets the range of 32 V: periph's configuration is for 16 V, and shows a bus of 24 V as one of 16.
func (i *inaReader) through(next func(w, r []byte) error, w, r []byte) error {
	if bytes.Equal(w, []byte{0, 0x1f, 0xff}) {
		w = []byte{0, 0x3f, 0xff}
	}
	return next(w, r)
}

func (i *inaReader) Read(ctx context.Context) ([]Reading, error) {
	var m ina219.PowerMonitor
	err := i.port.call(ctx, func() (err error) {
		var calibration [2]byte // 0 after a loss of the supply: the chip then says that there is no current
		if err := i.port.Tx(i.port.addr, []byte{5}, calibration[:]); err != nil {
			return err
		}
		if calibration == [2]byte{} {
			return faultf(FaultOther, "the chip has lost its calibration: it was reset")
		}
		m, err = i.dev.Sense()
		return err
	})
	if err != nil {
		return nil, err
	}
	return []Reading{
		{"voltage", float64(m.Voltage) / float64(physic.Volt), "V"},
		{"current", float64(m.Current) / float64(physic.Ampere), "A"},
		{"power", float64(m.Power) / float64(physic.Watt), "W"},
	}, nil
}

func (i *inaReader) Close() error { return nil }

// The range is that of Microchip's data sheet DS25095.
func driverMCP9808() Driver {
	return Driver{
		Name: "mcp9808", Title: "Microchip MCP9808: temperature", Bus: BusI2C, Addresses: []int{0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f},
		Quantities: []Quantity{{"temperature", "Cel", 4, -40, 125}}, MinInterval: 300 * time.Millisecond, Timeout: i2cUsual, open: openMCP9808,
	}
}

type mcp9808Reader struct {
	port *port
	dev  *mcp9808.Dev
}

func openMCP9808(ctx context.Context, e *environment) (reader, error) {
	m := &mcp9808Reader{port: e.port}
	err := e.port.call(ctx, func() (err error) {
		if err := m.identify(); err != nil {
			return err
		}
		if m.dev, err = mcp9808.New(e.port, &mcp9808.Opts{Addr: int(e.port.addr), Res: mcp9808.Maximum}); err != nil {
			return err
		}
		return e.port.wait(260 * time.Millisecond) // its first conversion
	})
	return m, err
}

// identify looks at the manufacturer's id, which periph does not: other chips live at these addresses too.
func (m *mcp9808Reader) identify() error {
	var id [2]byte
	if err := m.port.Tx(m.port.addr, []byte{6}, id[:]); err != nil {
		return err
	}
	if got := binary.BigEndian.Uint16(id[:]); got != 0x0054 {
		return fmt.Errorf("not an MCP9808: the manufacturer's id is 0x%04x, want 0x0054", got)
	}
	return nil
}

func (m *mcp9808Reader) Read(ctx context.Context) ([]Reading, error) {
	var t physic.Temperature
	err := m.port.call(ctx, func() (err error) {
		if err := m.identify(); err != nil { // a garbled bus reads as some temperature or other
			return err
		}
		t, err = m.dev.SenseTemp()
		return err
	})
	if err != nil {
		return nil, err
	}
	return []Reading{{"temperature", t.Celsius(), "Cel"}}, nil
}

func (m *mcp9808Reader) Close() error { return nil }

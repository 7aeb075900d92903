package main

import (
	"context"
	"encoding/binary"
	"fmt"
)

// simChip is a chip on a simulated I2C bus: what it holds is what its datasheet has for an example, or what the datasheet's formula turns into want.
type simChip struct {
	driver    string
	more      string // of its line in the configuration
	bus, addr int
	data      []byte
	want      map[string]float64 // by quantity
	slack     float64            // how far a value may be off, as a part of it
}

// file is a file of the chip's in debugfs.
func (c *simChip) file(name string) string {
	return fmt.Sprintf("/sys/kernel/debug/i2csim/%d-%02x/%s", c.bus, c.addr, name)
}

// busFile is a file of a bus.
func busFile(bus int, name string) string {
	return fmt.Sprintf("/sys/kernel/debug/i2csim/bus%d/%s", bus, name)
}

// simChips are the chips that guest.init has made.
func simChips() []simChip {
	return []simChip{
		{driver: "bmp280", bus: 1, addr: 0x76, data: bosch280(0x58), slack: 1e-4, want: map[string]float64{"temperature": 25.08, "pressure": 1006.53}},
		{driver: "bme280", bus: 2, addr: 0x76, data: bosch280(0x60), slack: 1e-3,
			want: map[string]float64{"temperature": 25.08, "pressure": 1006.53, "humidity": humidity280(humidityRaw, fineTemperature)}},
		{driver: "bmp180", bus: 1, addr: 0x77, data: bosch180(), slack: 1e-3, want: map[string]float64{"temperature": 15.0, "pressure": 699.64}},
		{driver: "sht4x", bus: 1, addr: 0x44, slack: 1e-3, data: script("", sensirion(0x6666, 0x72b0), "\x89", sensirion(0x0f1e, 0x2d3c)),
			want: map[string]float64{"temperature": 25, "humidity": 50}},
		{driver: "aht20", bus: 1, addr: 0x38, slack: 1e-3, data: script("", aht20()), want: map[string]float64{"temperature": 25, "humidity": 50}},
		{driver: "bh1750", bus: 1, addr: 0x23, slack: 1e-3, data: script("", []byte{0x83, 0x90}), want: map[string]float64{"illuminance": 28066.67}},
		{driver: "scd4x", bus: 1, addr: 0x62, slack: 1e-3, data: script("\xec\x05", sensirion(0x01f4, 0x6667, 0x5eb9), "\xe4\xb8", sensirion(0x8006),
			"\x36\x82", sensirion(0xf896, 0x9f07, 0x3bbe), "\x36\x39", sensirion(0)), want: map[string]float64{"co2": 500, "temperature": 25, "humidity": 37}},
		{driver: "ads1115", bus: 1, addr: 0x48, slack: 1e-3, data: registers16(map[int]uint16{0: 0x4000, 1: 0x8583}), want: map[string]float64{"voltage_0": 2.048}},
		{driver: "ina219", more: ", shunt: 0.002", bus: 1, addr: 0x40, slack: 1e-2, data: registers16(map[int]uint16{0: 0x399f, 1: 0x07d0, 2: 0x5d98}),
			want: map[string]float64{"voltage": 11.98, "current": 10, "power": 119.8}},
		{driver: "mcp9808", bus: 1, addr: 0x18, slack: 1e-3, data: registers16(map[int]uint16{5: 0xc194, 6: 0x0054, 7: 0x0400}),
			want: map[string]float64{"temperature": 25.25}},
		{driver: "mcp23017", bus: 1, addr: 0x20, data: expander(), want: map[string]float64{"a0": 1, "a3": 1, "a4": 0, "a7": 0, "b0": 1, "b1": 0, "b2": 1, "b3": 0, "b4": 0, "b5": 1, "b6": 0, "b7": 1}},
	}
}

// script encodes records of a command and its answer for i2csim; see modules/i2csim.c.
func script(records ...any) []byte {
	var b []byte
	for _, r := range records {
		switch r := r.(type) {
		case string:
			b = append(append(b, byte(len(r))), r...)
		case []byte:
			b = append(append(b, byte(len(r))), r...)
		}
	}
	return b
}

// sensirion is words as Sensirion's chips send them, each with its checksum: SHT4x: T = -45 + 175·S/65535 and RH = -6 + 125·S/65535.
func sensirion(words ...uint16) []byte {
	var b []byte
	for _, w := range words {
		b = binary.BigEndian.AppendUint16(b, w)
		b = append(b, crc8(b[len(b)-2:]))
	}
	return b
}

// crc8 is the checksum of Sensirion's and Aosong's chips: polynomial 0x31, from 0xff.
func crc8(data []byte) byte {
	crc := byte(0xff)
	for _, b := range data {
		crc ^= b
		for range 8 {
			carry := crc&0x80 != 0
			crc <<= 1
			if carry {
				crc ^= 0x31
			}
		}
	}
	return crc
}

// aht20 is a measurement of 50 % and 25 °C: RH = S/2^20·100, T = S/2^20·200-50, 20 bits each, behind the status "calibrated, not busy".
func aht20() []byte {
	b := []byte{0x1c, 0x80, 0x00, 0x06, 0x00, 0x00}
	return append(b, crc8(b))
}

// registers16 is an image of 256 registers of 16 bits.
func registers16(values map[int]uint16) []byte {
	b := make([]byte, 512)
	for reg, v := range values {
		binary.BigEndian.PutUint16(b[2*reg:], v)
	}
	return b
}

// expander is an MCP23017 after its reset (all pins inputs) with 0x0f on port A and 0xa5 on port B.
func expander() []byte {
	b := make([]byte, 256)
	b[0], b[1], b[0x12], b[0x13] = 0xff, 0xff, 0x0f, 0xa5
	return b
}

// load puts a chip's contents into it, and plugs it in.
func (m *machine) load(ctx context.Context, c *simChip) error {
	if err := m.write(ctx, c.file("data"), c.data); err != nil {
		return err
	}
	return m.set(ctx, c.file("gone"), 0)
}

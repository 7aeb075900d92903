package devices

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"periph.io/x/conn/v3/physic"
	"periph.io/x/devices/v3/aht20"
)

// The range is that of Aosong's data sheet.
func driverAHT20() Driver {
	return Driver{
		Name: "aht20", Title: "Aosong AHT20: temperature and humidity", Bus: BusI2C, Addresses: []int{0x38},
		Quantities: []Quantity{{"temperature", "Cel", 2, -40, 85}, {"humidity", "%", 2, 0, 100}}, MinInterval: 500 * time.Millisecond, Timeout: i2cUsual,
		open: func(ctx context.Context, e *environment) (reader, error) {
			a := &aht20Reader{port: e.port}
			err := e.port.call(ctx, func() (err error) {
				a.dev, err = aht20.NewI2C(e.port, nil)
				return err
			})
			return a, err
		},
	}
}

type aht20Reader struct {
	port *port
	dev  *aht20.Dev
}

func (a *aht20Reader) Read(ctx context.Context) ([]Reading, error) {
	var e physic.Env
	err := a.port.call(ctx, func() error { return a.dev.Sense(&e) })
	if corrupt := (*aht20.DataCorruptionError)(nil); errors.As(err, &corrupt) {
		return nil, faultf(FaultCRC, "its checksum is 0x%02x, what was read has 0x%02x", corrupt.Received, corrupt.Calculated)
	}
	if late := (*aht20.ReadTimeoutError)(nil); errors.As(err, &late) {
		return nil, faultf(FaultStuck, "it did not finish measuring within %s", late.Timeout)
	}
	if err != nil {
		return nil, err
	}
	return []Reading{{"temperature", e.Temperature.Celsius(), "Cel"}, {"humidity", float64(e.Humidity) / float64(physic.PercentRH), "%"}}, nil
}

func (a *aht20Reader) Close() error { return nil }

// The ranges and formulas are those of Sensirion's data sheet of the SHT4x, version 6.
func driverSHT4x() Driver {
	return Driver{
		Name: "sht4x", Title: "Sensirion SHT40, SHT41 and SHT45: temperature and humidity", Bus: BusI2C, Addresses: []int{0x44, 0x45, 0x46},
		Quantities: []Quantity{{"temperature", "Cel", 2, -40, 125}, {"humidity", "%", 2, 0, 100}}, MinInterval: 100 * time.Millisecond, Timeout: i2cUsual,
		open: func(_ context.Context, e *environment) (reader, error) { return &sht4x{port: e.port}, nil },
	}
}

// sht4x is our own driver: periph has none. The chip keeps nothing between two commands.
type sht4x struct{ port *port }

func (s *sht4x) Read(ctx context.Context) (readings []Reading, err error) {
	err = s.port.call(ctx, func() error {
		if err := s.port.Tx(s.port.addr, []byte{0xFD}, nil); err != nil { // measure with high precision
			return err
		}
		if err := s.port.wait(10 * time.Millisecond); err != nil { // it takes 8.3 ms at most
			return err
		}
		var b [6]byte
		if err := s.port.Tx(s.port.addr, nil, b[:]); err != nil {
			return err
		}
		readings, err = sht4xReadings(b)
		return err
	})
	return readings, err
}

// sht4xReadings converts two words, each with its checksum behind it.
func sht4xReadings(b [6]byte) ([]Reading, error) {
	for i := 0; i < len(b); i += 3 {
		if got := crc8(b[i : i+2]); got != b[i+2] {
			return nil, faultf(FaultCRC, "its checksum is 0x%02x, what was read has 0x%02x", b[i+2], got)
		}
	}
	t, h := float64(binary.BigEndian.Uint16(b[0:])), float64(binary.BigEndian.Uint16(b[3:]))
	humidity := min(max(-6+125*h/65535, 0), 100) // "the RH signal can be cropped to 0 to 100 %"
	return []Reading{{"temperature", -45 + 175*t/65535, "Cel"}, {"humidity", humidity, "%"}}, nil
}

func (s *sht4x) Close() error { return nil }

// crc8 is Sensirion's: polynomial 0x31, initial value 0xff.
func crc8(b []byte) byte {
	crc := byte(0xff)
	for _, c := range b {
		crc ^= c
		for range 8 {
			if crc&0x80 != 0 {
				crc = crc<<1 ^ 0x31
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

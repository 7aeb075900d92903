package devices

import (
	"context"
	"encoding/binary"
	"slices"
	"time"

	"periph.io/x/conn/v3/physic"
	"periph.io/x/devices/v3/scd4x"
)

// The ranges are those of Sensirion's data sheet of the SCD4x, version 1.4: the output range, less 0 ppm, which the chip says when it has none.
func driverSCD4x() Driver {
	return Driver{
		Name: "scd4x", Title: "Sensirion SCD40 and SCD41: carbon dioxide, temperature and humidity", Bus: BusI2C, Addresses: []int{int(scd4x.SensorAddress)},
		Quantities:  []Quantity{{"co2", "[ppm]", 0, 1, 40000}, {"temperature", "Cel", 2, -10, 60}, {"humidity", "%", 2, 0, 100}},
		MinInterval: 5 * time.Second, Timeout: i2cUsual, open: openSCD4x,
	}
}

type scd4xReader struct {
	port *port
	dev  *scd4x.Dev
}

// openSCD4x starts the chip's measuring, which goes on by itself every 5 s. A chip that measures already refuses to be started, so it is stopped first.
func openSCD4x(ctx context.Context, e *environment) (reader, error) {
	s := &scd4xReader{port: e.port}
	e.port.through = s.through
	err := e.port.call(ctx, func() (err error) {
		if err := e.port.Tx(e.port.addr, []byte{0x3f, 0x86}, nil); err != nil { // stop_periodic_measurement
			return err
		}
		if err := e.port.wait(500 * time.Millisecond); err != nil {
			return err
		}
		s.dev, err = scd4x.NewI2C(e.port, e.port.addr)
		return err
	})
	return s, err
}

// through sends the command and fetches the answer in two transfers, with the chip's execution time in between, as the data sheet has it, and looks at
// the checksum of each word: periph does too, but keeps asking for 6 s of the wall clock after a wrong one.
func (s *scd4xReader) through(next func(w, r []byte) error, w, r []byte) error {
	if len(w) == 2 && binary.BigEndian.Uint16(w) == 0x36f6 {
		_ = next(w, nil) // wake_up: "the sensor does not acknowledge the command"; the next one tells whether there is a chip
		return nil
	}
	if len(w) == 0 || len(r) == 0 {
		return next(w, r)
	}
	if err := next(w, nil); err != nil {
		return err
	}
	if err := s.port.wait(2 * time.Millisecond); err != nil {
		return err
	}
	if err := next(nil, r); err != nil {
		return err
	}
	for word := range slices.Chunk(r, 3) {
		if got := crc8(word[:2]); got != word[2] {
			return faultf(FaultCRC, "its checksum is 0x%02x, what was read has 0x%02x", word[2], got)
		}
	}
	return nil
}

// Read waits for a measurement. It does so itself: periph's loop sleeps through errors, and cannot be ended.
func (s *scd4xReader) Read(ctx context.Context) ([]Reading, error) {
	var e scd4x.Env
	err := s.port.call(ctx, func() error {
		if err := s.ready(); err != nil {
			return err
		}
		return s.dev.Sense(&e)
	})
	if err != nil {
		return nil, err
	}
	return []Reading{
		{"co2", float64(e.CO2), "[ppm]"}, {"temperature", e.Temperature.Celsius(), "Cel"},
		{"humidity", float64(e.Humidity) / float64(physic.PercentRH), "%"},
	}, nil
}

// ready polls get_data_ready_status until its last 11 bits are not 0.
func (s *scd4xReader) ready() error {
	for range 70 {
		var b [3]byte
		if err := s.port.Tx(s.port.addr, []byte{0xe4, 0xb8}, b[:]); err != nil {
			return err
		}
		if binary.BigEndian.Uint16(b[:])&0x7ff != 0 {
			return nil
		}
		if err := s.port.wait(100 * time.Millisecond); err != nil {
			return err
		}
	}
	return faultf(FaultStuck, "it measured nothing for 7 s")
}

func (s *scd4xReader) Close() error { return nil }

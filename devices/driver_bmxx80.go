package devices

import (
	"bytes"
	"context"
	"strings"
	"time"

	"periph.io/x/conn/v3/physic"
	"periph.io/x/devices/v3/bmxx80"
)

// Ranges are those of Bosch's data sheets BST-BME280-DS001, BST-BMP280-DS001 and BST-BMP180-DS000.
func driversBMxx80() []Driver {
	temperature := Quantity{"temperature", "Cel", 2, -40, 85}
	pressure := Quantity{"pressure", "hPa", 2, 300, 1100}
	humidity := Quantity{"humidity", "%", 1, 0, 100}
	coarse := temperature
	coarse.Digits = 1
	return []Driver{
		{
			Name: "bme280", Title: "Bosch BME280: temperature, pressure and humidity", Bus: BusI2C, Addresses: []int{0x76, 0x77},
			Quantities: []Quantity{temperature, pressure, humidity}, MinInterval: 100 * time.Millisecond, Timeout: i2cUsual, open: openBMxx80,
		}, {
			Name: "bmp180", Title: "Bosch BMP180: temperature and pressure", Bus: BusI2C, Addresses: []int{0x77},
			Quantities: []Quantity{coarse, pressure}, MinInterval: 100 * time.Millisecond, Timeout: i2cUsual, open: openBMxx80,
		}, {
			Name: "bmp280", Title: "Bosch BMP280: temperature and pressure", Bus: BusI2C, Addresses: []int{0x76, 0x77},
			Quantities: []Quantity{temperature, pressure}, MinInterval: 100 * time.Millisecond, Timeout: i2cUsual, open: openBMxx80,
		},
	}
}

// i2cUsual is how long a transfer may take: at the usual 100 kHz the longest of ours takes 3 ms, and some chips stretch the clock.
const i2cUsual = 250 * time.Millisecond

type bmxx80Reader struct {
	port *port
	dev  *bmxx80.Dev
	kind string
}

// openBMxx80 reads the chip's id and calibration. periph tells the three apart by the id; what the configuration says must be so.
func openBMxx80(ctx context.Context, e *environment) (reader, error) {
	b := &bmxx80Reader{port: e.port, kind: e.spec.Type}
	e.port.through = b.through
	opts := bmxx80.Opts{Temperature: bmxx80.O2x, Pressure: bmxx80.O16x, Humidity: bmxx80.O4x}
	return b, e.port.call(ctx, func() (err error) {
		if b.dev, err = bmxx80.NewI2C(e.port, e.port.addr, &opts); err != nil {
			return err
		}
		if kind, _, _ := strings.Cut(strings.ToLower(b.dev.String()), "{"); kind != b.kind {
			return faultf(FaultOther, "the chip is a %s, not a %s: set its type", kind, b.kind)
		}
		return nil
	})
}

// through looks at what is read: a bus with nothing on it, or a chip that did not measure.
func (b *bmxx80Reader) through(next func(w, r []byte) error, w, r []byte) error {
	if err := next(w, r); err != nil {
		return err
	}
	if len(w) != 1 || len(r) < 2 && w[0] != 0xD0 {
		return nil
	}
	if same(r) && (len(r) > 3 || r[0] == 0 || r[0] == 0xff) {
		return faultf(FaultCRC, "the chip's registers all read as 0x%02x", r[0])
	}
	if w[0] == 0xF7 && bytes.HasPrefix(r, []byte{0x80, 0, 0, 0x80, 0, 0}) {
		return faultf(FaultOther, "the chip has measured nothing")
	}
	return nil
}

// same says that all of b is the same: what a bus with nothing on it reads as, and no chip that works.
func same(b []byte) bool {
	for _, c := range b {
		if c != b[0] {
			return false
		}
	}
	return true
}

func (b *bmxx80Reader) Read(ctx context.Context) ([]Reading, error) {
	var e physic.Env
	err := b.port.call(ctx, func() error {
		if err := b.unchanged(); err != nil {
			return err
		}
		return b.dev.Sense(&e)
	})
	if err != nil {
		return nil, err
	}
	readings := []Reading{
		{"temperature", e.Temperature.Celsius(), "Cel"},
		{"pressure", float64(e.Pressure) / float64(100*physic.Pascal), "hPa"},
	}
	if b.kind == "bme280" {
		readings = append(readings, Reading{"humidity", float64(e.Humidity) / float64(physic.PercentRH), "%"})
	}
	return readings, nil
}

// unchanged finds a BME280 that lost its supply for a moment: it measures on, but no humidity.
func (b *bmxx80Reader) unchanged() error {
	if b.kind != "bme280" {
		return nil
	}
	var humidity [1]byte
	if err := b.port.Tx(b.port.addr, []byte{0xF2}, humidity[:]); err != nil {
		return err
	}
	if humidity[0]&7 != byte(bmxx80.O4x) {
		return faultf(FaultOther, "the chip has lost its settings: it was reset")
	}
	return nil
}

func (b *bmxx80Reader) Close() error { return nil }

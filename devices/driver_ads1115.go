package devices

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"periph.io/x/conn/v3/physic"
	"periph.io/x/devices/v3/ads1x15"
)

// adsChannels are the inputs of an ADS1115, alone and as differences, as periph numbers them.
func adsChannels() ([]string, map[string]ads1x15.Channel) {
	names := []string{"0", "1", "2", "3", "0-1", "0-3", "1-3", "2-3"}
	channels := []ads1x15.Channel{ads1x15.Channel0, ads1x15.Channel1, ads1x15.Channel2, ads1x15.Channel3,
		ads1x15.Channel0Minus1, ads1x15.Channel0Minus3, ads1x15.Channel1Minus3, ads1x15.Channel2Minus3}
	byName := map[string]ads1x15.Channel{}
	for i, name := range names {
		byName[name] = channels[i]
	}
	return names, byName
}

// The full scales are those of Texas Instruments' data sheet SBAS444, in volts.
func adsScales() []float64 { return []float64{6.144, 4.096, 2.048, 1.024, 0.512, 0.256} }

func driverADS1115() Driver {
	names, _ := adsChannels()
	d := Driver{
		Name: "ads1115", Title: "Texas Instruments ADS1115: four voltages", Bus: BusI2C, Addresses: []int{0x48, 0x49, 0x4a, 0x4b},
		Channels: names, Usual: names[:4], Options: []string{"channels", "gain"}, MinInterval: 100 * time.Millisecond, Timeout: i2cUsual,
		open: openADS1115,
		check: func(s *Spec) error {
			if s.Gain != 0 && !slices.Contains(adsScales(), s.Gain) {
				return fmt.Errorf("gain %v: want the full scale in volts, one of %v", s.Gain, adsScales())
			}
			return nil
		},
	}
	d.Quantities = adsQuantities(names, 4.096)
	d.quantities = func(s *Spec) []Quantity { return adsQuantities(d.channelsOf(s), fullScale(s)) }
	return d
}

// fullScale suits a supply of 3.3 V.
func fullScale(s *Spec) float64 {
	if s.Gain == 0 {
		return 4.096
	}
	return s.Gain
}

// adsQuantities has the digits of the converter's step, 2^-15 of the full scale.
func adsQuantities(channels []string, scale float64) []Quantity {
	digits := int(math.Ceil(-math.Log10(scale / (1 << 15))))
	quantities := make([]Quantity, len(channels))
	for i, c := range channels {
		quantities[i] = Quantity{voltageOf(c), "V", digits, -scale, scale}
	}
	return quantities
}

func voltageOf(channel string) string { return "voltage_" + strings.ReplaceAll(channel, "-", "_") }

type adsReader struct {
	port  *port
	names []string
	pins  []ads1x15.PinADC
}

func openADS1115(_ context.Context, e *environment) (reader, error) {
	a := &adsReader{port: e.port, names: e.spec.Channels}
	all, channels := adsChannels()
	if len(a.names) == 0 {
		a.names = all[:4]
	}
	e.port.through = a.through
	dev, err := ads1x15.NewADS1115(e.port, &ads1x15.Opts{I2cAddress: e.port.addr})
	if err != nil {
		return nil, err
	}
	scale := physic.ElectricPotential(math.Round(fullScale(e.spec)*1000)) * physic.MilliVolt
	for _, name := range a.names {
		pin, err := dev.PinForChannel(channels[name], scale, 128*physic.Hertz, ads1x15.BestQuality)
		if err != nil {
			return nil, err
		}
		a.pins = append(a.pins, pin)
	}
	return a, nil
}

// through waits until a conversion is done before its result is fetched. periph waits for exactly its nominal time, but the chip's clock may be a tenth slow: what is
// there then is the result of the channel before.
func (a *adsReader) through(next func(w, r []byte) error, w, r []byte) error {
	if len(w) != 1 || w[0] != 0 {
		return next(w, r)
	}
	for range 20 {
		var config [2]byte
		if err := next([]byte{1}, config[:]); err != nil {
			return err
		}
		if config[0]&0x80 != 0 {
			return next(w, r)
		}
		if err := a.port.wait(time.Millisecond); err != nil {
			return err
		}
	}
	return faultf(FaultStuck, "a conversion does not end")
}

func (a *adsReader) Read(ctx context.Context) (readings []Reading, err error) {
	err = a.port.call(ctx, func() error {
		for i, pin := range a.pins {
			sample, err := pin.Read()
			if err != nil {
				return err
			}
			value := float64(sample.V) / float64(physic.Volt)
			if sample.Raw == math.MaxInt16 || sample.Raw == math.MinInt16 { // it may be any voltage from there on
				value = math.Inf(int(sample.Raw))
			}
			readings = append(readings, Reading{voltageOf(a.names[i]), value, "V"})
		}
		return nil
	})
	return readings, err
}

func (a *adsReader) Close() error { return nil }

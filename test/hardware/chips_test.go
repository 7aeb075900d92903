package main

import (
	"bytes"
	"math"
	"testing"
)

// The examples are of the datasheets of Sensirion's SHT4x (0xbeef) and SCD4x (500 ppm, 25 °C, 37 %).
func TestSensirionsChecksum(t *testing.T) {
	t.Parallel()
	if got := crc8([]byte{0xbe, 0xef}); got != 0x92 {
		t.Errorf("crc8(0xbeef): got 0x%02x, want 0x92", got)
	}
	got := sensirion(0x01f4, 0x6667, 0x5eb9)
	if want := []byte{0x01, 0xf4, 0x33, 0x66, 0x67, 0xa2, 0x5e, 0xb9, 0x3c}; !bytes.Equal(got, want) {
		t.Errorf("a measurement: got % x, want % x", got, want)
	}
}

func TestScriptIsRecords(t *testing.T) {
	t.Parallel()
	got := script("\xe4\xb8", []byte{1, 2, 3}, "", []byte{9})
	if want := []byte{2, 0xe4, 0xb8, 3, 1, 2, 3, 0, 1, 9}; !bytes.Equal(got, want) {
		t.Errorf("got % x, want % x", got, want)
	}
}

// TestBoschImages takes the images apart again: where a value stands is what the drivers read.
func TestBoschImages(t *testing.T) {
	t.Parallel()
	b := bosch280(0x60)
	if got := uint32(b[0xfa])<<12 | uint32(b[0xfb])<<4 | uint32(b[0xfc])>>4; got != adcTemperature {
		t.Errorf("raw temperature: got %d, want %d", got, adcTemperature)
	}
	if got := int16(uint16(b[0x8c]) | uint16(b[0x8d])<<8); got != -1000 {
		t.Errorf("T3: got %d, want -1000", got)
	}
	if h4, h5 := int(b[0xe4])<<4|int(b[0xe5]&0xf), int(b[0xe6])<<4|int(b[0xe5]>>4); h4 != humidityH4 || h5 != humidityH5 {
		t.Errorf("H4 and H5: got %d and %d, want %d and %d", h4, h5, humidityH4, humidityH5)
	}
	if got := humidity280(humidityRaw, fineTemperature); math.IsNaN(got) || got <= 10 || got >= 90 {
		t.Errorf("humidity: got %f, want something in the middle of the scale", got)
	}
	if old := bosch180(); int16(uint16(old[0xba])<<8|uint16(old[0xbb])) != -32768 || old[0xd0] != 0x55 {
		t.Errorf("a BMP180's MB and id: got % x and %02x", old[0xba:0xbc], old[0xd0])
	}
}

package main

import "encoding/binary"

// What the Bosch datasheets use for an example of their arithmetic: of the BMP280 in section 3.12, of the BMP180 in section 3.5. humidityRaw is ours, for
// the BME280's datasheet has none; its calibration is of the usual size.
const (
	adcPressure, adcTemperature = 415148, 519888
	fineTemperature             = 128422
	humidityRaw                 = 0x6a00
)

// bosch280 is the register image of a BMP280 (id 0x58) or a BME280 (id 0x60) with one measurement done.
func bosch280(id byte) []byte {
	b := make([]byte, 256)
	var pressures = []int16{-10685, 3024, 2855, 140, -7, 15500, -14600, 6000}
	binary.LittleEndian.PutUint16(b[0x88:], 27504)
	binary.LittleEndian.PutUint16(b[0x8a:], 26435)
	putSigned(binary.LittleEndian, b[0x8c:], -1000)
	binary.LittleEndian.PutUint16(b[0x8e:], 36477)
	for i, v := range pressures {
		putSigned(binary.LittleEndian, b[0x90+2*i:], v)
	}
	b[0xd0] = id
	put20(b[0xf7:], adcPressure)
	put20(b[0xfa:], adcTemperature)
	if id != 0x60 {
		return b
	}
	b[0xa1], b[0xe1], b[0xe2], b[0xe3] = humidityH1, humidityH2&0xff, humidityH2>>8, humidityH3
	b[0xe4], b[0xe5], b[0xe6], b[0xe7] = humidityH4>>4, humidityH4&0xf|(humidityH5&0xf)<<4, humidityH5>>4, humidityH6
	binary.BigEndian.PutUint16(b[0xfd:], humidityRaw)
	return b
}

// Calibration of the humidity of a BME280.
const (
	humidityH1, humidityH2, humidityH3 = 75, 362, 0
	humidityH4, humidityH5, humidityH6 = 313, 50, 30
)

// humidity280 is the BME280's datasheet's arithmetic in floating point (section 8.1).
func humidity280(raw, fine float64) float64 {
	h := fine - 76800
	h = (raw - (humidityH4*64.0 + humidityH5/16384.0*h)) *
		(humidityH2 / 65536.0 * (1 + humidityH6/67108864.0*h*(1+humidityH3/67108864.0*h)))
	return min(max(h*(1-humidityH1*h/524288.0), 0), 100)
}

// bosch180 is the register image of a BMP180; its raw temperature is in registers 0 to 2, its raw pressure in 4 to 6, for i2csim to choose from.
func bosch180() []byte {
	b := make([]byte, 256)
	for i, v := range []int16{408, -72, -14383} {
		putSigned(binary.BigEndian, b[0xaa+2*i:], v)
	}
	for i, v := range []uint16{32741, 32757, 23153} {
		binary.BigEndian.PutUint16(b[0xb0+2*i:], v)
	}
	for i, v := range []int16{6190, 4, -32768, -8711, 2868} {
		putSigned(binary.BigEndian, b[0xb6+2*i:], v)
	}
	b[0xd0] = 0x55
	binary.BigEndian.PutUint16(b[0:], 27898)
	binary.BigEndian.PutUint16(b[4:], 23843)
	return b
}

func putSigned(order binary.ByteOrder, b []byte, v int16) { order.PutUint16(b, uint16(v)) }

// put20 puts 20 bits into three bytes, the highest first.
func put20(b []byte, v uint32) { b[0], b[1], b[2] = byte(v>>12), byte(v>>4), byte(v<<4) }

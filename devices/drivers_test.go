package devices

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"periph.io/x/conn/v3/i2c/i2ctest"
)

// readOne runs a sensor until it has said something, and returns the data of its first event.
func readOne(t *testing.T, spec Spec, b transport) map[string]any {
	t.Helper()
	var got map[string]any
	synctest.Test(t, func(t *testing.T) {
		hw := hardware(t, t.TempDir(), map[string]transport{"1": b})
		spec.Name, spec.Interval = "probe", time.Minute
		d, err := NewSensor(spec, hw, common())
		if err != nil {
			t.Fatal(err)
		}
		out := &fakeLog{}
		run(t, d, out, 50*time.Second)
		if err := hw.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		events := out.all()
		if len(events) == 0 {
			t.Fatal("no event")
		}
		got = data(t, events[0])
		if events[0].Type == EventFault {
			return
		}
		if events[0].Type != EventReading || events[0].Subject != "devices/probe" || events[0].Source != "//gw/devices/probe" {
			t.Errorf("got %+v, want a reading", events[0])
		}
	})
	return got
}

// want compares the data of a reading.
func want(t *testing.T, got map[string]any, text string) {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, got); diff != "" {
		t.Errorf("reading (-want +got):\n%s", diff)
	}
}

// one is a bus with one chip.
func one(addr uint16, c fakeChip) *fakeBus { return &fakeBus{chips: map[uint16]fakeChip{addr: c}} }

// bmp280 is the register image of the data sheet's example.
func bmp280() *registers {
	c := &registers{pairs: true}
	c.set(0xD0, 0x58)
	var calibration []byte
	p2, p6, p8, t3 := int16(-10685), int16(-7), int16(-14600), int16(-1000)
	for _, v := range []uint16{27504, 26435, uint16(t3), 36477, uint16(p2), 3024, 2855, 140, uint16(p6), 15500, uint16(p8), 6000} {
		calibration = binary.LittleEndian.AppendUint16(calibration, v)
	}
	c.set(0x88, calibration...)
	const pressure, temperature = 415148, 519888
	c.set(0xF7, pressure>>12, pressure>>4&0xff, pressure&0xf<<4, temperature>>12, temperature>>4&0xff, temperature&0xf<<4)
	return c
}

func TestBMP280ReadsTheExampleOfItsDataSheet(t *testing.T) {
	t.Parallel()
	want(t, readOne(t, Spec{Type: "bmp280"}, one(0x76, bmp280())), `{"temperature":25.08,"pressure":1006.53,"units":{"temperature":"Cel","pressure":"hPa"}}`)
}

func TestAnotherChipIsAFaultThatNamesBoth(t *testing.T) {
	t.Parallel()
	chip := bmp280()
	for id, want := range map[byte]string{0x58: "i2c-1 0x76: the chip is a bmp280, not a bme280", 0x61: "i2c-1 0x76: bmxx80: unexpected chip id 61"} {
		chip.set(0xD0, id)
		if got := readOne(t, Spec{Type: "bme280"}, one(0x76, chip)); got["class"] != FaultOther || !strings.HasPrefix(got["cause"].(string), want) {
			t.Errorf("id 0x%02x: got %v, want %q", id, got, want)
		}
	}
}

func TestBMP180ReadsTheExampleOfItsDataSheet(t *testing.T) {
	t.Parallel()
	c := &registers{pairs: true}
	c.set(0xD0, 0x55)
	var calibration []byte
	ac2, ac3, mb, mc := int16(-72), int16(-14383), int16(-32768), int16(-8711)
	for _, v := range []uint16{408, uint16(ac2), uint16(ac3), 32741, 32757, 23153, 6190, 4, uint16(mb), uint16(mc), 2868} {
		calibration = binary.BigEndian.AppendUint16(calibration, v)
	}
	c.set(0xAA, calibration...)
	// The example's pressure is 23843 without oversampling; with eight samples it has three bits more.
	c.reads = map[byte]func() byte{}
	for i := range 3 {
		c.reads[0xF6+byte(i)] = func() byte {
			if c.reg[0xF4] == 0x2e {
				return []byte{27898 >> 8, 27898 & 0xff, 0}[i]
			}
			return []byte{23843 >> 8, 23843 & 0xff, 0}[i]
		}
	}
	got := readOne(t, Spec{Type: "bmp180", Address: 0x77}, one(0x77, c))
	if got["temperature"] != 15.0 {
		t.Errorf("temperature: got %v, want 15", got["temperature"])
	}
	if p, ok := got["pressure"].(float64); !ok || math.Abs(p-699.64) > 0.1 {
		t.Errorf("pressure: got %v, want 699.64 within the rounding of the lower bits", got["pressure"])
	}
}

// bme280 is a BME280 of which humidity is to be raw.
func bme280(raw uint16) *registers {
	c := bmp280()
	c.set(0xD0, 0x60)
	c.set(0xA1, 75)
	c.set(0xE1, 106, 1, 0, 324>>4, 324&0xf|50&0xf<<4, 50>>4, 30) // h2 = 362, h3 = 0, h4 = 324, h5 = 50, h6 = 30
	c.set(0xFD, byte(raw>>8), byte(raw))
	return c
}

// humidity is the formula in floating point of the data sheet of the BME280, 8.1, for the image above.
func humidity(raw uint16) float64 {
	const fine = 128422.286 // of its example of the temperature
	h := fine - 76800.0
	h = (float64(raw) - (324*64.0 + 50/16384.0*h)) * (362 / 65536.0 * (1 + 30/67108864.0*h*(1+0/67108864.0*h)))
	return h * (1 - 75*h/524288.0)
}

func TestBME280ReadsWhatTheFormulaOfItsDataSheetSays(t *testing.T) {
	t.Parallel()
	for _, raw := range []uint16{25000, 29000, 32768, 35000} {
		got := readOne(t, Spec{Type: "bme280"}, one(0x76, bme280(raw)))
		if h, ok := got["humidity"].(float64); !ok || math.Abs(h-humidity(raw)) > 0.06 || got["temperature"] != 25.08 || got["pressure"] != 1006.53 {
			t.Errorf("raw %d: got %v, want humidity %.2f beside 25.08 and 1006.53", raw, got, humidity(raw))
		}
	}
}

func TestABME280ThatLostItsSupplyIsSetUpAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		chip := bme280(29000)
		hw := hardware(t, t.TempDir(), map[string]transport{"1": one(0x76, chip)})
		defer hw.Close()
		d, err := NewSensor(Spec{Name: "probe", Type: "bme280", Interval: 10 * time.Second}, hw, common())
		if err != nil {
			t.Fatal(err)
		}
		out := &fakeLog{}
		stop := start(t, d, out)
		pass(5 * time.Second)
		chip.set(0xF2, 0)
		pass(10 * time.Second)
		stop()
		var kinds []string
		for _, e := range out.all() {
			kinds = append(kinds, e.Type)
		}
		if want := []string{EventReading, EventFault, EventRecovered, EventReading}; !slices.Equal(kinds, want) {
			t.Errorf("got %v, want %v", kinds, want)
		}
		if chip.reg[0xF2] == 0 {
			t.Error("the chip was not told to measure humidity again")
		}
	})
}

func TestSHT4xReads(t *testing.T) {
	t.Parallel()
	if got := crc8([]byte{0xbe, 0xef}); got != 0x92 {
		t.Errorf("checksum of the data sheet's example: got 0x%02x, want 0x92", got)
	}
	word := func(v uint16) []byte { b := []byte{byte(v >> 8), byte(v)}; return append(b, crc8(b)) }
	for _, c := range []struct {
		t, h uint16
		want string
	}{
		{0x6666, 0x6666, `{"temperature":25,"humidity":44,"units":{"temperature":"Cel","humidity":"%"}}`},
		{0xbeef, 0x0000, `{"temperature":85.52,"humidity":0,"units":{"temperature":"Cel","humidity":"%"}}`},
		{0x4000, 0xffff, `{"temperature":-1.25,"humidity":100,"units":{"temperature":"Cel","humidity":"%"}}`},
	} {
		want(t, readOne(t, Spec{Type: "sht4x"}, plan(i2ctest.IO{Addr: 0x44, W: []byte{0xfd}}, i2ctest.IO{Addr: 0x44, R: append(word(c.t), word(c.h)...)})), c.want)
	}
	garbled := append(word(0x6666), 0x66, 0x66, 0x00)
	got := readOne(t, Spec{Type: "sht4x"}, plan(i2ctest.IO{Addr: 0x44, W: []byte{0xfd}}, i2ctest.IO{Addr: 0x44, R: garbled}))
	if got["class"] != FaultCRC {
		t.Errorf("garbled: got %v, want a fault of class crc", got)
	}
}

func TestAHT20Reads(t *testing.T) {
	t.Parallel()
	frame := []byte{0x18, 0x80, 0x00, 0x06, 0x00, 0x00} // half of the range of humidity, 3/8 of that of the temperature
	read := func(b []byte) playback {
		return plan(i2ctest.IO{Addr: 0x38, W: []byte{0x71}, R: []byte{0x18}}, i2ctest.IO{Addr: 0x38, W: []byte{0xac, 0x33, 0x00}}, i2ctest.IO{Addr: 0x38, R: b})
	}
	want(t, readOne(t, Spec{Type: "aht20"}, read(append(frame, crc8(frame)))), `{"temperature":25,"humidity":50,"units":{"temperature":"Cel","humidity":"%"}}`)
	if got := readOne(t, Spec{Type: "aht20"}, read(append(frame, crc8(frame)^1))); got["class"] != FaultCRC {
		t.Errorf("garbled: got %v, want a fault of class crc", got)
	}
}

// ads is an ADS1115 whose conversions take so many looks at its configuration, and give the code of the channel that was chosen.
func ads(looks int, codes map[uint16]uint16) fakeChip {
	return &adsChip{looks: looks, codes: codes}
}

type adsChip struct {
	looks, busy    int
	codes          map[uint16]uint16
	config, result uint16
}

func (a *adsChip) tx(w, r []byte) error {
	if len(w) == 3 && w[0] == 1 {
		a.config, a.busy = binary.BigEndian.Uint16(w[1:]), a.looks
		return nil
	}
	if len(w) == 1 && w[0] == 1 {
		status := a.config &^ 0x8000
		if a.busy--; a.busy < 0 {
			status |= 0x8000
			a.result = a.codes[a.config]
		}
		binary.BigEndian.PutUint16(r, status)
		return nil
	}
	binary.BigEndian.PutUint16(r, a.result)
	return nil
}

func TestADS1115WaitsForEachConversion(t *testing.T) {
	t.Parallel()
	codes := map[uint16]uint16{0xc383: 0x4000, 0xd383: 0x0001, 0xe383: 0x8001, 0xf383: 0x7fff} // single shot, 4.096 V, 128 a second, by channel
	got := readOne(t, Spec{Type: "ads1115", Channels: []string{"0", "1", "2"}}, one(0x48, ads(3, codes)))
	want(t, got, `{"voltage_0":2.048,"voltage_1":0.0001,"voltage_2":-4.0959,"units":{"voltage_0":"V","voltage_1":"V","voltage_2":"V"}}`)
	if got := readOne(t, Spec{Type: "ads1115"}, one(0x48, ads(1000, codes))); got["class"] != FaultStuck {
		t.Errorf("a conversion without an end: got %v, want a fault of class stuck", got)
	}
	if got := readOne(t, Spec{Type: "ads1115", Channels: []string{"3", "0"}}, one(0x48, ads(0, codes))); got["class"] != FaultRange || got["quantity"] != "voltage_3" {
		t.Errorf("at the end of its range: got %v, want a fault of class range", got)
	}
}

func TestINA219ReadsTheExampleOfItsDataSheet(t *testing.T) {
	t.Parallel()
	chip := &words{reg: map[byte]uint16{1: 2000, 2: 0x5d98, 4: 10000, 3: 0x0a00}}
	got := readOne(t, Spec{Type: "ina219"}, one(0x40, chip))
	want(t, got, `{"voltage":11.98,"current":0.97656,"power":5,"units":{"voltage":"V","current":"A","power":"W"}}`)
	if chip.reg[0] != 0x3fff || chip.reg[5] != 4194 {
		t.Errorf("got configuration 0x%04x and calibration %d, want 0x3fff (32 V) and 4194", chip.reg[0], chip.reg[5])
	}
	chip = &words{reg: map[byte]uint16{2: 0x5d98}, after: func(c *words, w []byte) { c.reg[5] = 0 }}
	if got := readOne(t, Spec{Type: "ina219"}, one(0x40, chip)); got["class"] != FaultOther || !strings.Contains(got["cause"].(string), "calibration") {
		t.Errorf("a chip that was reset: got %v, want a fault that says so", got)
	}
}

func TestBH1750ReadsTheExampleOfItsDataSheet(t *testing.T) {
	t.Parallel()
	light := func(high, low byte) playback {
		return plan(i2ctest.IO{Addr: 0x23, W: []byte{0x07}}, i2ctest.IO{Addr: 0x23, W: []byte{0x10}}, i2ctest.IO{Addr: 0x23, W: []byte{0x07}},
			i2ctest.IO{Addr: 0x23, W: []byte{0x10}}, i2ctest.IO{Addr: 0x23, R: []byte{high, low}})
	}
	want(t, readOne(t, Spec{Type: "bh1750"}, light(0x83, 0x90)), `{"illuminance":28067,"units":{"illuminance":"lx"}}`)
	if got := readOne(t, Spec{Type: "bh1750"}, light(0xff, 0xff)); got["class"] != FaultRange {
		t.Errorf("in the sun: got %v, want a fault of class range", got)
	}
}

func TestSCD4xReadsTheExampleOfItsDataSheet(t *testing.T) {
	t.Parallel()
	write := func(b ...byte) i2ctest.IO { return i2ctest.IO{Addr: 0x62, W: b} }
	read := func(words ...uint16) i2ctest.IO {
		var b []byte
		for _, v := range words {
			b = append(b, byte(v>>8), byte(v))
			b = append(b, crc8(b[len(b)-2:]))
		}
		return i2ctest.IO{Addr: 0x62, R: b}
	}
	begin := []i2ctest.IO{write(0x3f, 0x86), write(0x36, 0xf6), write(0x21, 0xb1)}
	status := write(0xe4, 0xb8)
	ops := append(slices.Clone(begin), status, read(0x8000), status, read(0x8006), status, read(0x8006), write(0xec, 0x05), read(0x01f4, 0x6667, 0x5eb9))
	want(t, readOne(t, Spec{Type: "scd4x"}, plan(ops...)), `{"co2":500,"temperature":25,"humidity":37,"units":{"co2":"[ppm]","temperature":"Cel","humidity":"%"}}`)
	garbled := read(0x8006)
	garbled.R[2] ^= 1
	if got := readOne(t, Spec{Type: "scd4x"}, plan(append(slices.Clone(begin), status, garbled)...)); got["class"] != FaultCRC {
		t.Errorf("garbled: got %v, want a fault of class crc", got)
	}
	garbled = read(0x01f4, 0x6667, 0x5eb9)
	garbled.R[5] ^= 1
	ops = append(slices.Clone(begin), status, read(0x8006), status, read(0x8006), write(0xec, 0x05), garbled)
	if got := readOne(t, Spec{Type: "scd4x"}, plan(ops...)); got["class"] != FaultCRC {
		t.Errorf("a garbled measurement: got %v, want a fault of class crc", got)
	}
}

func TestMCP9808Reads(t *testing.T) {
	t.Parallel()
	for raw, text := range map[uint16]string{
		0x0194: `{"temperature":25.25,"units":{"temperature":"Cel"}}`,
		0xc191: `{"temperature":25.0625,"units":{"temperature":"Cel"}}`, // with its alert flags set
		0x1ff0: `{"temperature":-1,"units":{"temperature":"Cel"}}`,
	} {
		want(t, readOne(t, Spec{Type: "mcp9808"}, one(0x18, &words{reg: map[byte]uint16{5: raw, 6: 0x0054}})), text)
	}
	got := readOne(t, Spec{Type: "mcp9808"}, one(0x18, &words{reg: map[byte]uint16{5: 0x0194, 6: 0x1234}}))
	if cause, _ := got["cause"].(string); !strings.Contains(cause, "not an MCP9808") {
		t.Errorf("another chip: got %v, want a fault that says so", got)
	}
}

func TestMCP23017SamplesItsInputs(t *testing.T) {
	t.Parallel()
	chip := &registers{}
	chip.set(0, 0x00, 0xff) // port A was left as outputs
	chip.set(0x12, 0b1000_0001, 0b0000_0010)
	got := readOne(t, Spec{Type: "mcp23017", Pull: PullUp, Channels: []string{"a0", "a1", "a7", "b1"}}, one(0x20, chip))
	want(t, got, `{"a0":1,"a1":0,"a7":1,"b1":1,"units":{}}`)
	if chip.reg[0] != 0xff || chip.reg[1] != 0xff || chip.reg[0x0c] != 0xff || chip.reg[0x0d] != 0xff {
		t.Errorf("got directions %x and pull-ups %x, want all inputs pulled up", chip.reg[0:2], chip.reg[0x0c:0x0e])
	}
	inverted := readOne(t, Spec{Type: "mcp23017", Invert: true}, one(0x20, chip))
	if inverted["a0"] != 0.0 || inverted["a1"] != 1.0 || len(inverted) != 17 {
		t.Errorf("inverted: got %v, want 16 inputs, a0 off, a1 on", inverted)
	}
}

func TestAGarbledChipIsAFaultAndNoPanic(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ kind, class string }{
		{"bme280", FaultCRC}, {"bmp280", FaultCRC}, {"mcp9808", FaultOther}, // their ids are wrong
		{"sht4x", FaultCRC}, {"aht20", FaultCRC}, {"scd4x", FaultCRC}, {"mcp23017", FaultOther}, {"bh1750", FaultRange}, {"ina219", FaultOther},
	} {
		d, _ := FindDriver(c.kind)
		got := readOne(t, Spec{Type: c.kind}, one(uint16(d.Addresses[0]), ones{}))
		if class, _ := got["class"].(string); class != c.class {
			t.Errorf("%s on a bus that reads as ones: got %v, want class %q", c.kind, got, c.class)
		}
	}
	zero := &registers{pairs: true} // a BMP180 whose calibration makes periph divide by zero: 3 less AC6, times AC5, shifted, plus MD
	zero.set(0xD0, 0x55)
	zero.set(0xAA, 0, 1, 0, 2, 0, 3, 0, 4, 0x80, 0, 0, 1, 0, 7, 0, 8, 0, 9, 0, 10, 0xff, 0xfe)
	zero.set(0xF6, 0, 3)
	got := readOne(t, Spec{Type: "bmp180"}, one(0x77, zero))
	if cause, _ := got["cause"].(string); got["class"] != FaultCRC || !strings.Contains(cause, "divide by zero") {
		t.Errorf("a BMP180 with a garbled calibration: got %v, want a fault of class crc that names the division", got)
	}
}

// ones is a bus that nothing pulls low.
type ones struct{}

func (ones) tx(_, r []byte) error {
	for i := range r {
		r[i] = 0xff
	}
	return nil
}

func TestABusyChipIsNotWaitedForForEver(t *testing.T) {
	t.Parallel()
	chip := bmp280()
	chip.set(0xF3, 8) // "measuring"
	b := one(0x76, chip)
	if got := readOne(t, Spec{Type: "bmp280"}, b); got["class"] != FaultStuck {
		t.Errorf("got %v, want a fault of class stuck", got)
	}
	if got := b.count(); got > 10*maxTransfers { // in the few attempts of 50 s
		t.Errorf("got %d transfers, want about %d an attempt", got, maxTransfers)
	}
}

func TestTheTableOfDriversIsWhole(t *testing.T) {
	t.Parallel()
	names := []string{}
	for _, d := range Drivers() {
		names = append(names, d.Name)
		if d.Title == "" || d.MinInterval <= 0 || d.Timeout <= 0 || d.open == nil || (d.Bus == BusI2C) != (len(d.Addresses) > 0) {
			t.Errorf("%s: got %+v, want it whole", d.Name, d)
		}
		for _, q := range d.Quantities {
			if q.Unit == "" || !(q.Min < q.Max) || q.Digits < 0 || q.Name == "units" {
				t.Errorf("%s: got %+v, want a quantity that is whole", d.Name, q)
			}
		}
		s := Spec{Type: d.Name, Address: 0x03, Probe: "28-000000a1b2c3", Wave: WaveSine, High: 1, Period: time.Second}
		if err := d.Check(&s); (err != nil) != (d.Bus == BusI2C) {
			t.Errorf("%s at 0x03: got %v", d.Name, err)
		}
		s.Address = 0
		if err := d.Check(&s); err != nil {
			t.Errorf("%s: got %v, want no error", d.Name, err)
		}
		s.Adjust = []Adjust{{Quantity: "nothing of the kind", Scale: 1}}
		if err := d.Check(&s); err == nil {
			t.Errorf("%s: took an adjust of what it does not measure", d.Name)
		}
	}
	if !slices.IsSorted(names) {
		t.Errorf("got %v, want them by name", names)
	}
	for _, s := range []Spec{
		{Type: "ads1115", Channels: []string{"9"}}, {Type: "ads1115", Gain: 5}, {Type: "ina219", Shunt: -1}, {Type: "mcp23017", Pull: PullDown}, {Type: "ds18b20", Probe: "../etc"},
		{Type: "bmp280", Bus: "1/../../x"}, {Type: TypeSimulated, Wave: "square"}, {Type: "bh1750", Adjust: []Adjust{{Quantity: "illuminance"}}},
	} {
		d, _ := FindDriver(s.Type)
		if d.Check(&s) == nil {
			t.Errorf("%+v: got no error", s)
		}
	}
}

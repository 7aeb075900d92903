package devices

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// files writes files below root.
func files(t *testing.T, root string, content map[string]string) {
	t.Helper()
	for name, text := range content {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// readSys runs a sensor of the board or of 1-Wire, and returns the data of its first event.
func readSys(t *testing.T, spec Spec, root string) map[string]any {
	t.Helper()
	var got map[string]any
	synctest.Test(t, func(t *testing.T) {
		hw := hardware(t, root, nil)
		spec.Name, spec.Interval = "probe", time.Minute
		d, err := NewSensor(spec, hw, common())
		if err != nil {
			t.Fatal(err)
		}
		out := &fakeLog{}
		run(t, d, out, time.Second)
		if err := hw.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if len(out.all()) == 0 {
			t.Fatal("no event")
		}
		got = data(t, out.all()[0])
	})
	return got
}

const probe = "28-0000a1b2c300"

func TestDS18B20Reads(t *testing.T) {
	t.Parallel()
	const scratchpad = "72 01 4b 46 7f ff 0e 10 57 : crc=57 YES\n72 01 4b 46 7f ff 0e 10 57 t="
	for name, c := range map[string]struct {
		slave, class, cause string
		want                string
	}{
		"a value":          {slave: scratchpad + "23125\n", want: `{"temperature":23.125,"units":{"temperature":"Cel"}}`},
		"below zero":       {slave: scratchpad + "-10062\n", want: `{"temperature":-10.062,"units":{"temperature":"Cel"}}`},
		"unplugged":        {slave: "", class: FaultMissing, cause: "unplugged"},
		"checksum":         {slave: strings.Replace(scratchpad, "YES", "NO", 1) + "23125\n", class: FaultCRC, cause: "checksum"},
		"power-on":         {slave: scratchpad + "85000\n", class: FaultOther, cause: "85 °C"},
		"held low":         {slave: "00 00 00 00 00 00 00 00 00 : crc=00 YES\n00 00 00 00 00 00 00 00 00 t=0\n", class: FaultCRC, cause: "held low"},
		"out of its range": {slave: scratchpad + "127500\n", class: FaultRange, cause: "127.5 Cel"},
		"cut off":          {slave: "72 01 4b 46 7f ff 0e 10 57 : crc=57 YES\n", class: FaultCRC, cause: "no temperature"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			files(t, root, map[string]string{"sys/bus/w1/devices/" + probe + "/w1_slave": c.slave})
			got := readSys(t, Spec{Type: "ds18b20", Probe: probe}, root)
			if c.want != "" {
				want(t, got, c.want)
				return
			}
			if cause, _ := got["cause"].(string); got["class"] != c.class || !strings.Contains(cause, c.cause) {
				t.Errorf("got %v, want class %s and %q", got, c.class, c.cause)
			}
		})
	}
}

func TestDS18B20WithoutItsFolder(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if got := readSys(t, Spec{Type: "ds18b20", Probe: probe}, root); got["class"] != FaultMissing || !strings.Contains(got["hint"].(string), "dtoverlay=w1-gpio") {
		t.Errorf("without 1-Wire: got %v, want how to enable it", got)
	}
	files(t, root, map[string]string{"sys/bus/w1/devices/28-000000000001/temperature": "21000\n"})
	if got := readSys(t, Spec{Type: "ds18b20", Probe: probe}, root); got["class"] != FaultMissing || !strings.Contains(got["hint"].(string), "id") {
		t.Errorf("another probe: got %v, want a look at the id", got)
	}
	want(t, readSys(t, Spec{Type: "ds18b20", Probe: "28-000000000001"}, root), `{"temperature":21,"units":{"temperature":"Cel"}}`)
	files(t, root, map[string]string{"sys/bus/w1/devices/28-000000000001/temperature": ""})
	if got := readSys(t, Spec{Type: "ds18b20", Probe: "28-000000000001"}, root); got["class"] != FaultMissing {
		t.Errorf("an empty temperature: got %v, want class missing", got)
	}
}

func TestEightyFiveDegreesAreATemperatureOnceTheProbeHasConverted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		slave := map[string]string{"sys/bus/w1/devices/" + probe + "/w1_slave": "50 05 4b 46 7f ff 0c 10 1c : crc=1c YES\n50 05 4b 46 7f ff 0c 10 1c t=84875\n"}
		files(t, root, slave)
		hw := hardware(t, root, nil)
		defer hw.Close()
		r, err := openDS18B20(t.Context(), &environment{spec: &Spec{Probe: probe}, hw: hw, timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		for _, milli := range []string{"84875", "85000"} {
			files(t, root, map[string]string{"sys/bus/w1/devices/" + probe + "/w1_slave": "50 05 4b 46 7f ff 0c 10 1c : crc=1c YES\n50 05 4b 46 7f ff 0c 10 1c t=" + milli + "\n"})
			if got, err := r.Read(t.Context()); err != nil || len(got) != 1 {
				t.Errorf("%s: got %v, %v", milli, got, err)
			}
		}
	})
}

func TestAProbeThatHangsIsStuckAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hw := hardware(t, t.TempDir(), nil)
		o, err := hw.owner("1-Wire " + probe)
		if err != nil {
			t.Fatal(err)
		}
		release := make(chan struct{})
		err = o.do(t.Context(), time.Second, "w1_slave", func() error { <-release; return nil })
		if class, _ := classify(err); class != FaultStuck {
			t.Errorf("got %v, want class stuck", err)
		}
		other, err := hw.owner("1-Wire 28-000000000002")
		if err != nil {
			t.Fatal(err)
		}
		if err := other.do(context.Background(), time.Second, "w1_slave", func() error { return nil }); err != nil {
			t.Errorf("another probe: got %v", err)
		}
		close(release)
		if err := hw.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

func TestTheBoardReads(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	files(t, root, map[string]string{
		"proc/loadavg": "0.42 0.30 0.20 1/123 4567\n", "proc/uptime": "12345.67 20000.00\n",
		"proc/meminfo":                         "MemTotal:        1000000 kB\nMemFree:          1000 kB\nMemAvailable:     250000 kB\n",
		"sys/class/thermal/thermal_zone0/type": "gpu-thermal\n", "sys/class/thermal/thermal_zone0/temp": "99000\n",
		"sys/class/thermal/thermal_zone1/type": "cpu-thermal\n", "sys/class/thermal/thermal_zone1/temp": "48312\n",
	})
	want(t, readSys(t, Spec{Type: "cpu_temperature"}, root), `{"temperature":48.3,"units":{"temperature":"Cel"}}`)
	want(t, readSys(t, Spec{Type: "board"}, root), `{"load":0.42,"memory_available":244.1,"memory_used":75,"uptime":12346,"units":{"memory_available":"MiBy","memory_used":"%","uptime":"s"}}`)
	files(t, root, map[string]string{"sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n"})
	got := readSys(t, Spec{Type: "board"}, root)
	for name, on := range map[string]float64{
		"under_voltage": 1, "frequency_capped": 0, "throttled": 1, "soft_temperature_limit": 0,
		"under_voltage_seen": 1, "frequency_capped_seen": 0, "throttled_seen": 1, "soft_temperature_limit_seen": 0,
	} {
		if got[name] != on {
			t.Errorf("%s of 50005: got %v, want %v", name, got[name], on)
		}
	}
	if got := readSys(t, Spec{Type: "board"}, t.TempDir()); got["class"] != FaultMissing {
		t.Errorf("without /proc: got %v, want a fault", got)
	}
}

func TestThisMachineIsABoard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hw := NewHardware(HardwareOptions{})
		d, err := NewSensor(Spec{Name: "probe", Type: "board", Interval: time.Minute}, hw, common())
		if err != nil {
			t.Fatal(err)
		}
		out := &fakeLog{}
		run(t, d, out, time.Second)
		if err := hw.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if m := data(t, out.all()[0]); m["memory_available"] == nil || m["uptime"].(float64) <= 0 {
			t.Errorf("got %v, want what this machine's /proc says", m)
		}
	})
}

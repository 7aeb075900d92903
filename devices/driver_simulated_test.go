package devices

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gateway"
)

// simulate runs a simulated device.
func simulate(t *testing.T, spec Spec, length time.Duration) []gateway.Event {
	t.Helper()
	spec.Name = "made-up"
	out := &fakeLog{}
	synctest.Test(t, func(t *testing.T) {
		d, err := NewSimulated(spec, common())
		if err != nil {
			t.Fatal(err)
		}
		run(t, d, out, length)
	})
	return out.all()
}

// valuesOf are those of one quantity.
func valuesOf(t *testing.T, events []gateway.Event, quantity string) []float64 {
	t.Helper()
	var values []float64
	for _, e := range events {
		if v, ok := data(t, e)[quantity].(float64); ok {
			values = append(values, v)
		}
	}
	return values
}

func TestSimulatedWaves(t *testing.T) {
	t.Parallel()
	spec := Spec{Interval: time.Second, Low: 10, High: 30, Period: 8 * time.Second, Quantity: "temperature", Unit: "Cel"}
	for _, wave := range []string{WaveSine, WaveWalk, WaveSteps} {
		spec.Wave = wave
		got := valuesOf(t, simulate(t, spec, 99500*time.Millisecond), "temperature")
		if len(got) != 100 || slices.Min(got) < 10 || slices.Max(got) > 30 || slices.Max(got)-slices.Min(got) < 8 {
			t.Errorf("%s: got %v, want 100 values that move within 10 and 30", wave, got)
		}
		if again := valuesOf(t, simulate(t, spec, 99500*time.Millisecond), "temperature"); !slices.Equal(got, again) {
			t.Errorf("%s: another run of the same seed read otherwise", wave)
		}
		spec.Seed = 7
		if other := valuesOf(t, simulate(t, spec, 99500*time.Millisecond), "temperature"); slices.Equal(got, other) {
			t.Errorf("%s: another seed read the same", wave)
		}
		spec.Seed = 0
	}
	spec.Wave = WaveSine
	if got := valuesOf(t, simulate(t, spec, 8500*time.Millisecond), "temperature"); !slices.Equal(got, []float64{20, 27.07, 30, 27.07, 20, 12.93, 10, 12.93, 20}) {
		t.Errorf("a sine: got %v", got)
	}
	want(t, data(t, simulate(t, spec, 0)[0]), `{"temperature":20,"units":{"temperature":"Cel"}}`)
}

func TestSimulatedFaultsComeAndGo(t *testing.T) {
	t.Parallel()
	events := simulate(t, Spec{Interval: time.Second, Wave: WaveFaults, High: 1, Period: 5 * time.Minute}, 22*time.Minute)
	var story []string
	last := ""
	for _, e := range events {
		text := strings.TrimPrefix(e.Type, "device.")
		if class, ok := data(t, e)["class"]; ok {
			text += fmt.Sprint(" ", class)
		}
		if text != last {
			story = append(story, text)
		}
		last = text
	}
	want := []string{"reading", "fault missing", "recovered missing", "reading", "fault crc", "recovered crc", "reading"}
	if !slices.Equal(story, want) {
		t.Errorf("got %v, want %v", story, want)
	}
}

func replayFile(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "replay.jsonl")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReplay(t *testing.T) {
	t.Parallel()
	// A line for each reading, over and over.
	file := replayFile(t, `{"temperature":20.5,"door":true,"units":{"temperature":"Cel"}}`, ``, `{"temperature":21,"door":false}`)
	events := simulate(t, Spec{Interval: time.Second, Wave: WaveReplay, File: file}, 2500*time.Millisecond)
	if len(events) != 3 {
		t.Fatalf("got %d events, want 3", len(events))
	}
	want(t, data(t, events[0]), `{"temperature":20.5,"door":1,"units":{"temperature":"Cel"}}`)
	want(t, data(t, events[1]), `{"temperature":21,"door":0,"units":{}}`)
	want(t, data(t, events[2]), `{"temperature":20.5,"door":1,"units":{"temperature":"Cel"}}`)

	// At its times, with a fault.
	for name, lines := range map[string][]string{
		"after": {`{"v":1}`, `{"v":2,"after":"1.5s"}`, `{"fault":"crc","after":"2s"}`, `{"v":3,"after":"1.5s"}`, `{"v":3,"after":"10s"}`},
		"time":  {`{"v":1,"time":"2026-01-01T00:00:00Z"}`, `{"v":2,"time":"2026-01-01T00:00:01.5Z"}`, `{"fault":"crc","time":"2026-01-01T00:00:03.5Z"}`, `{"v":3,"time":"2026-01-01T00:00:05Z"}`, `{"v":3,"time":"2026-01-01T00:00:15Z"}`},
	} {
		events := simulate(t, Spec{Interval: time.Second, Wave: WaveReplay, File: replayFile(t, lines...), Report: ReportChanged}, 27500*time.Millisecond)
		var story []string
		for _, e := range events {
			story = append(story, fmt.Sprintf("%v%v", data(t, e)["v"], data(t, e)["class"]))
		}
		// The last line stays for as long as the one before it; then the first comes again.
		if want := []string{"1<nil>", "2<nil>", "<nil>crc", "<nil>crc", "3<nil>", "1<nil>", "2<nil>"}; !slices.Equal(story, want) {
			t.Errorf("%s: got %v, want %v", name, story, want)
		}
	}
}

func TestReplayRefusesWithTheLine(t *testing.T) {
	t.Parallel()
	for text, line := range map[string]string{
		`{"v":1}` + "\n" + `{"v":`: ":2: ",
		`{"v":"warm"}`:             `:1: "v"`,
		`{}`:                       ":1: no values",
		`{"v":1,"after":"soon"}`:   `:1: "after"`,
		`{"v":1,"after":"-1s"}`:    `:1: "after"`,
		`{"v":1,"after":"1s"}` + "\n" + `{"v":2}`: ":2: its time is before",
		`{"fault":"tired"}`:                       `:1: "tired"`,
		`{"v":null}`:                              `:1: "v"`,
		"":                                        "no lines",
		`{"v":1,"time":"yesterday"}`:              `:1: "time"`,
		`[1]`:                                     ":1: ",
		`{"v":1}` + "\n" + `{"v":2,"after":"2562047h"}`:            "beyond",
		strings.Repeat(`{"v":1}`+"\n", replayLines+1):              "no more than 100000 lines",
		`{"v":1,"pad":"` + strings.Repeat("x", replayBytes) + `"}`: "bytes",
	} {
		_, err := NewSimulated(Spec{Name: "made-up", Interval: time.Second, Wave: WaveReplay, File: replayFile(t, text)}, common())
		if err == nil || !strings.Contains(err.Error(), line) {
			t.Errorf("%.60q: got %v, want %q in it", text, err, line)
		}
	}
	for _, s := range []Spec{
		{Wave: WaveReplay}, {Wave: WaveReplay, File: "/nowhere/at all"}, {Wave: WaveSine, Low: 1, High: 1, Period: 1}, {Wave: WaveSine, High: 1},
		{Wave: WaveWalk, Low: math.Inf(-1), High: 1, Period: 1}, {Wave: WaveSteps, Low: math.NaN(), Period: 1},
	} {
		s.Interval = time.Second
		if _, err := NewSimulated(s, common()); err == nil {
			t.Errorf("%+v: got no error", s)
		}
	}
	for _, wave := range []string{WaveSine, WaveWalk, WaveSteps, WaveFaults} { // the shortest period must not be a panic
		if events := simulate(t, Spec{Interval: time.Second, Wave: wave, High: 1, Period: 1}, 1); len(events) != 1 {
			t.Errorf("%s: got %d events", wave, len(events))
		}
	}
}

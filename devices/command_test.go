package devices

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseCommand(t *testing.T) {
	t.Parallel()
	const ms, s = time.Millisecond, time.Second
	on, off, toggle := Command{Do: DoOn}, Command{Do: DoOff}, Command{Do: DoToggle}
	pulse := Command{Do: DoPulse, On: 2 * s}
	blink := Command{Do: DoBlink, On: 500 * ms, Off: 250 * ms, Times: 10}
	pwm := Command{Do: DoPWM, Duty: 0.4, Period: 500 * ms}
	for text, want := range map[string]Command{
		"on": on, "ON": on, " On\n": on, "true": on, "1": on, `"on"`: on, "off": off, "OFF": off, "False": off, "0": off, "toggle": toggle, "TOGGLE": toggle,
		"pulse 2s": pulse, "PULSE 2S": pulse, "  pulse   2000ms ": pulse, `{"do":"pulse","for":"2s"}`: pulse,
		"blink 500ms 250ms 10": blink, `{"do":"blink","on":"500ms","off":"250ms","times":10}`: blink,
		"pwm 40% 0.5s": pwm, "pwm 0.4 500ms": pwm, `{"do":"pwm","duty":0.4,"period":"500ms"}`: pwm,
		`{"do":"ON"}`: on, "pulse 1ms": {Do: DoPulse, On: ms}, "pulse 24h": {Do: DoPulse, On: 24 * time.Hour},
		"pwm 0% 10ms": {Do: DoPWM, Period: 10 * ms}, "pwm 100% 10m": {Do: DoPWM, Duty: 1, Period: 10 * time.Minute},
	} {
		if got, err := ParseCommand([]byte(text)); err != nil || got != want {
			t.Errorf("%s: got %+v and %v, want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"": "empty", " ": "empty", "open": `"open" is no command`, "2": `"2" is no command`, "on now": "needs 0",
		"pulse": "needs 1", "pulse 2": "no unit: write 2s", "pulse x": "no time", "pulse 0s": "out of bounds", "pulse 0": "out of bounds", "pulse -1s": "out of bounds", "pulse 25h": "out of bounds",
		"blink 1s": "needs 3", "blink 1s 1s 0": "use 1 to 10000", "blink 1s 1s 10001": "use 1 to 10000", "blink 1s 1s x": "no number of times",
		"blink 1ms 1s 1": "on of 1ms", "blink 1s 2h 1": "off of 2h",
		"pwm 40 1s": "use 0 to 1", "pwm 101% 1s": "use 0 to 1", "pwm nan 1s": "use 0 to 1", "pwm 40% 5ms": "a period of 5ms", "pwm 40% 11m": "a period of 11m", "pwm 1% 20ms": "use a longer period",
		`{"do":"pulse"}`: `pulse needs "for"`, `{"do":"on","for":"2s"}`: `on has no "for"`, `{"do":"fly"}`: `"do" is "fly"`, `{}`: `"do" is ""`,
		`{"do":"pulse","for":2}`: "no JSON of a command", `{"do":"pulse","for":"2"}`: "no unit", `{"do":"on","level":1}`: `unknown field "level"`, `{"do":"on"} {"do":"off"}`: "something behind",
		`{"do":"on"`: "no JSON", `"on`: "no JSON", `[1]`: "is no command", strings.Repeat("x", 2000): "too long", strings.Repeat("x", 1000): "…",
	} {
		if got, err := ParseCommand([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: got %+v and %v, want an error with %q", text, got, err, want)
		}
	}
}

func TestCommandsReadTheirOwnWords(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := Command{Do: rapid.SampledFrom([]string{DoOn, DoOff, DoToggle, DoPulse, DoBlink, DoPWM}).Draw(t, "do")}
		span := func(low, high time.Duration, name string) time.Duration {
			return time.Duration(rapid.Int64Range(int64(low/1e6), int64(high/1e6)).Draw(t, name)) * time.Millisecond
		}
		switch c.Do {
		case DoPulse:
			c.On = span(shortestStep, longestPulse, "for")
		case DoBlink:
			c.On, c.Off, c.Times = span(shortestWink, longestWink, "on"), span(shortestWink, longestWink, "off"), rapid.IntRange(1, mostFlashes).Draw(t, "times")
		case DoPWM:
			c.Duty, c.Period = float64(rapid.IntRange(0, 100).Draw(t, "duty"))/100, span(time.Second, pwmLongest, "period")
		}
		got, err := ParseCommand([]byte(c.String()))
		if err != nil || got.String() != c.String() || got.On != c.On || got.Off != c.Off || got.Times != c.Times || got.Period != c.Period {
			t.Fatalf("%q: got %+v and %v, want %+v", c.String(), got, err, c)
		}
	})
}

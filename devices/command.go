package devices

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Command is what an output is to do. ParseCommand makes it; which fields count depends on Do.
type Command struct {
	// Do is one of the Do constants.
	Do string
	// On is how long a pulse is, or each flash of a blink, Off the pause between two flashes, and Times how many flashes there are.
	On, Off time.Duration
	Times   int
	// Duty is the part of each Period of a pwm that the output is on, from 0 to 1.
	Duty   float64
	Period time.Duration
}

// What an output can do.
const (
	DoOn     = "on"
	DoOff    = "off"
	DoToggle = "toggle" // on if it is off and still, else off
	DoPulse  = "pulse"  // on for a time, then off
	DoBlink  = "blink"  // on and off for so many times, then off
	DoPWM    = "pwm"    // on for a part of each period, until the next command: slow, in software, for heaters behind a solid-state relay
)

// Bounds of what a command says.
const (
	maxCommand   = 1024 // bytes
	shortestStep = time.Millisecond
	longestPulse = 24 * time.Hour
	shortestWink = 10 * time.Millisecond
	longestWink  = time.Hour
	mostFlashes  = 10_000
	pwmShortest  = 10 * time.Millisecond
	pwmLongest   = 10 * time.Minute
)

// commandForms is the end of an error about what is no command.
const commandForms = `use on, off, toggle, "pulse 2s", "blink 500ms 500ms 10" or "pwm 40% 10s", or JSON such as {"do":"pulse","for":"2s"}`

// ParseCommand reads an event's data: words ("on", "pulse 2s", "blink 500ms 500ms 10", "pwm 40% 10s"), the words that Home Assistant sends (true, 1, ON), or JSON
// ({"do":"pulse","for":"2s"}). The error says what is wrong and what is allowed.
func ParseCommand(data []byte) (Command, error) {
	if len(data) > maxCommand {
		return Command{}, fmt.Errorf("a command of %d bytes is too long: at most %d", len(data), maxCommand)
	}
	data = bytes.TrimSpace(data)
	if len(data) > 0 && (data[0] == '{' || data[0] == '"') {
		return parseJSONCommand(data)
	}
	return parseWords(string(data))
}

func parseWords(text string) (Command, error) {
	words := strings.Fields(strings.ToLower(text))
	if len(words) == 0 {
		return Command{}, errors.New("the command is empty: " + commandForms)
	}
	c, args := Command{}, words[1:]
	counts := map[string]int{DoOn: 0, DoOff: 0, DoToggle: 0, DoPulse: 1, DoBlink: 3, DoPWM: 2}
	switch words[0] {
	case "true", "1":
		c.Do = DoOn
	case "false", "0":
		c.Do = DoOff
	default:
		c.Do = words[0]
	}
	want, known := counts[c.Do]
	if !known {
		return Command{}, fmt.Errorf("%q is no command: %s", clip(text), commandForms)
	}
	if len(args) != want {
		return Command{}, fmt.Errorf("%q has %d words behind %s, which needs %d: %s", clip(text), len(args), c.Do, want, commandForms)
	}
	var errs [3]error
	switch c.Do {
	case DoPulse:
		c.On, errs[0] = parseTime("the pulse", args[0])
	case DoBlink:
		c.On, errs[0] = parseTime("on", args[0])
		c.Off, errs[1] = parseTime("off", args[1])
		if c.Times, errs[2] = strconv.Atoi(args[2]); errs[2] != nil {
			errs[2] = fmt.Errorf("%q is no number of times", clip(args[2]))
		}
	case DoPWM:
		c.Duty, errs[0] = parseDuty(args[0])
		c.Period, errs[1] = parseTime("the period", args[1])
	}
	if err := errors.Join(errs[:]...); err != nil {
		return Command{}, err
	}
	return c, c.check()
}

// check says what is out of bounds.
func (c Command) check() error {
	within := func(what string, d, low, high time.Duration) error {
		if d < low || d > high {
			return fmt.Errorf("%s: %s of %v is out of bounds: use %v to %v", c.Do, what, d, low, high)
		}
		return nil
	}
	switch c.Do {
	case DoPulse:
		return within("a time", c.On, shortestStep, longestPulse)
	case DoBlink:
		if c.Times < 1 || c.Times > mostFlashes {
			return fmt.Errorf("blink: %d times is out of bounds: use 1 to %d", c.Times, mostFlashes)
		}
		return errors.Join(within("on", c.On, shortestWink, longestWink), within("off", c.Off, shortestWink, longestWink))
	case DoPWM:
		if !(c.Duty >= 0 && c.Duty <= 1) { // also what is no number
			return fmt.Errorf("pwm: a duty of %v is out of bounds: use 0 to 1, or 0%% to 100%%", c.Duty)
		}
		if err := within("a period", c.Period, pwmShortest, pwmLongest); err != nil {
			return err
		}
		if on, off := c.halves(); on > 0 && off > 0 && min(on, off) < shortestStep {
			return fmt.Errorf("pwm: a duty of %v of %v leaves %v, which is shorter than %v: use a longer period", c.Duty, c.Period, min(on, off), shortestStep)
		}
	}
	return nil
}

// halves are how long each period of a pwm is on and off.
func (c Command) halves() (on, off time.Duration) {
	on = time.Duration(c.Duty * float64(c.Period)).Round(time.Microsecond)
	return on, c.Period - on
}

// String is the command in words, as ParseCommand reads them.
func (c Command) String() string {
	switch c.Do {
	case DoPulse:
		return fmt.Sprintf("pulse %v", c.On)
	case DoBlink:
		return fmt.Sprintf("blink %v %v %d", c.On, c.Off, c.Times)
	case DoPWM:
		return fmt.Sprintf("pwm %s%% %v", strconv.FormatFloat(c.Duty*100, 'g', 6, 64), c.Period)
	}
	return c.Do
}

func parseTime(what, text string) (time.Duration, error) {
	if _, err := strconv.ParseFloat(text, 64); err == nil && text != "0" {
		return 0, fmt.Errorf("%s: the time %q has no unit: write %ss or %sms", what, clip(text), clip(text), clip(text))
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%s: %q is no time such as 500ms, 2s or 10m", what, clip(text))
	}
	return d, nil
}

func parseDuty(text string) (float64, error) {
	number, percent := strings.CutSuffix(text, "%")
	duty, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, fmt.Errorf("the duty %q is no number such as 40%% or 0.4", clip(text))
	}
	if percent {
		duty /= 100
	}
	return duty, nil
}

// clip keeps what others sent short in errors.
func clip(text string) string {
	const most = 40
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

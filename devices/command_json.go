package devices

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// jsonCommand has pointers, so that what is missing and what is too much can be told.
type jsonCommand struct {
	Do     string   `json:"do"`
	For    *string  `json:"for"`
	On     *string  `json:"on"`
	Off    *string  `json:"off"`
	Times  *int     `json:"times"`
	Duty   *float64 `json:"duty"`
	Period *string  `json:"period"`
}

func parseJSONCommand(data []byte) (Command, error) {
	if data[0] == '"' {
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return Command{}, fmt.Errorf("the command is no JSON: %w", err)
		}
		return parseWords(text)
	}
	var j jsonCommand
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&j); err != nil {
		return Command{}, fmt.Errorf("the command is no JSON of a command: %w; %s", err, commandForms)
	}
	if d.More() {
		return Command{}, errors.New("there is something behind the JSON of the command: an event is one command")
	}
	return j.command()
}

func (j *jsonCommand) command() (Command, error) {
	c := Command{Do: strings.ToLower(j.Do)}
	var errs []error
	given := map[string]bool{"for": j.For != nil, "on": j.On != nil, "off": j.Off != nil, "times": j.Times != nil, "duty": j.Duty != nil, "period": j.Period != nil}
	wants := map[string][]string{DoOn: {}, DoOff: {}, DoToggle: {}, DoPulse: {"for"}, DoBlink: {"on", "off", "times"}, DoPWM: {"duty", "period"}}
	fields, known := wants[c.Do]
	if !known {
		return Command{}, fmt.Errorf("\"do\" is %q: it must be on, off, toggle, pulse, blink or pwm", clip(j.Do))
	}
	for _, field := range fields {
		if !given[field] {
			errs = append(errs, fmt.Errorf("%s needs %q", c.Do, field))
		}
		delete(given, field)
	}
	for _, field := range []string{"for", "on", "off", "times", "duty", "period"} {
		if given[field] {
			errs = append(errs, fmt.Errorf("%s has no %q", c.Do, field))
		}
	}
	if len(errs) > 0 {
		return Command{}, errors.Join(errs...)
	}
	return c, j.fill(&c)
}

// fill takes over the fields that c's verb has: all of them are there.
func (j *jsonCommand) fill(c *Command) error {
	var errs [2]error
	switch c.Do {
	case DoPulse:
		c.On, errs[0] = parseTime("for", *j.For)
	case DoBlink:
		c.On, errs[0] = parseTime("on", *j.On)
		c.Off, errs[1] = parseTime("off", *j.Off)
		c.Times = *j.Times
	case DoPWM:
		c.Duty = *j.Duty
		c.Period, errs[0] = parseTime("period", *j.Period)
	}
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	return c.check()
}

package devices

import (
	"errors"
	"fmt"
	"slices"
)

// CheckOutputs says all that is wrong with the outputs of a configuration, alone and together.
func CheckOutputs(specs []Spec) error {
	var errs []error
	byName, byWire := map[string]*Spec{}, map[string]string{}
	for i := range specs {
		s := &specs[i]
		if byName[s.Name] != nil {
			errs = append(errs, fmt.Errorf("output %q: there are two of that name", s.Name))
		}
		byName[s.Name] = s
		at := s.Chip + " " + s.Pin
		if other, taken := byWire[at]; taken {
			errs = append(errs, fmt.Errorf("output %q: its pin %s is that of %q too", s.Name, s.Pin, other))
		}
		byWire[at] = s.Name
	}
	for i := range specs {
		for _, err := range specs[i].checkOutput(byName) {
			errs = append(errs, fmt.Errorf("output %q: %w", specs[i].Name, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Spec) checkOutput(all map[string]*Spec) (errs []error) {
	wrong := func(is bool, format string, args ...any) {
		if is {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	choice := func(key, value string, choices ...string) {
		wrong(!slices.Contains(choices, value), "%s: %q is not one of %q", key, value, choices)
	}
	wrong(s.Name == "", "it has no name")
	wrong(s.Type != TypeOutput, "its type is %q, not %s", s.Type, TypeOutput)
	wrong(s.Pin == "", "pin: it has none")
	choice("safe", s.Safe, OutputOn, OutputOff)
	choice("start", s.Start, OutputSafe, OutputKeep)
	choice("stop", s.Stop, OutputSafe, OutputKeep)
	wrong(s.MaxOn < 0, "max_on: %v is less than 0", s.MaxOn)
	wrong(s.Watchdog < 0, "watchdog: %v is less than 0", s.Watchdog)
	wrong(s.DownFor < 0, "down_for: %v is less than 0", s.DownFor)
	on := s.Safe == OutputOn
	wrong(on && s.MaxOn > 0, "max_on: an output whose safe state is on has none")
	wrong(on && len(s.Interlock) > 0, "interlock: an output whose safe state is on can have none, for it must always be able to go on")
	for _, other := range s.Interlock {
		o := all[other]
		wrong(other == s.Name, "interlock: it names itself")
		wrong(o == nil, "interlock: there is no output %q", other)
		wrong(o != nil && o.Safe == OutputOn, "interlock: the safe state of %q is on, so it must always be able to go on", other)
	}
	return errs
}

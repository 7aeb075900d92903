package devices

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Types are the types of devices: those with pins, then the drivers of sensors by name.
func Types() []string {
	types := []string{TypeInput, TypeCounter, TypeSampled, TypeOutput}
	for _, d := range Drivers() {
		types = append(types, d.Name)
	}
	return types
}

// DefaultSpec is what holds for a device of that type where the configuration does not say otherwise.
func DefaultSpec(kind string) Spec {
	s := Spec{Type: kind}
	switch kind {
	case TypeInput:
		s.Pull, s.Edges = PullAsIs, EdgesBoth
	case TypeCounter:
		s.Pull, s.Edges, s.Interval, s.Unit, s.PerPulse = PullAsIs, EdgesRising, time.Minute, "1", 1
	case TypeSampled:
		s.Pull, s.Interval, s.Report = PullAsIs, time.Second, ReportChanged
	case TypeOutput:
		s.Start, s.Stop, s.Safe = OutputSafe, OutputSafe, OutputOff
	default:
		s.Interval, s.Average, s.Report = 10*time.Second, 1, ReportAlways
		if d, ok := FindDriver(kind); ok {
			s.Timeout, s.Interval = d.Timeout, max(s.Interval, d.MinInterval)
		}
		if kind == TypeSimulated {
			s.Wave, s.High, s.Period = WaveSine, 100, time.Minute
		}
	}
	return s
}

// DefaultAdjust leaves a quantity as it is.
func DefaultAdjust() Adjust { return Adjust{Scale: 1} }

// SpecError is what is wrong with one device of a configuration.
type SpecError struct {
	Index int // of the spec
	Err   error
}

// Check says all that is wrong with the devices of a configuration, alone and together, but for what a single field can be.
func Check(specs []Spec) (wrong []SpecError) {
	var outputs []Spec
	var places []int
	names := map[string]int{}
	for i := range specs {
		s := &specs[i]
		if first, twice := names[s.Name]; twice && s.Name != "" {
			wrong = append(wrong, SpecError{i, fmt.Errorf("devices[%d] has the name %q already; each needs its own", first, s.Name)})
		} else {
			names[s.Name] = i
		}
		if s.Type == TypeOutput {
			outputs, places = append(outputs, *s), append(places, i)
			continue
		}
		if err := s.check(); err != nil {
			wrong = append(wrong, SpecError{i, err})
		}
	}
	if err := CheckOutputs(outputs); err != nil {
		at := places[0]
		for i := range outputs { // the one that it is about, if it is about one
			if one := CheckOutputs(outputs[i : i+1]); one != nil && len(outputs[i].Interlock) == 0 {
				at = places[i]
				break
			}
		}
		wrong = append(wrong, SpecError{at, err})
	}
	return append(append(wrong, checkPins(specs)...), checkChips(specs)...)
}

// checkChips finds chips and probes that two devices have.
func checkChips(specs []Spec) (wrong []SpecError) {
	taken := map[string]int{}
	for i := range specs {
		s := &specs[i]
		d, ok := FindDriver(s.Type)
		if !ok || d.Bus != BusI2C && d.Bus != BusWire {
			continue
		}
		at := d.where(s)
		if first, twice := taken[at]; twice {
			wrong = append(wrong, SpecError{i, fmt.Errorf("%s is that of %q too", at, specs[first].Name)})
			continue
		}
		taken[at] = i
	}
	return wrong
}

// check is for what is no output.
func (s *Spec) check() error {
	switch s.Type {
	case TypeInput, TypeCounter, TypeSampled:
		if s.Pin == "" {
			return errors.New("pin is missing")
		}
		return nil
	}
	d, ok := FindDriver(s.Type)
	if !ok {
		return fmt.Errorf("there is no driver %q", s.Type)
	}
	if err := d.Check(s); err != nil {
		return err
	}
	if s.Interval < d.MinInterval {
		return fmt.Errorf("interval %s: the least of a %s is %s", s.Interval, d.Name, d.MinInterval)
	}
	return nil
}

// checkPins finds pins that two devices have. Two names of one line are not found here, but by the kernel.
func checkPins(specs []Spec) (wrong []SpecError) {
	taken := map[[2]string]int{}
	for i := range specs {
		s := &specs[i]
		if s.Pin == "" {
			continue
		}
		at := [2]string{s.Chip, s.Pin}
		if first, twice := taken[at]; twice {
			if !slices.Equal([]string{s.Type, specs[first].Type}, []string{TypeOutput, TypeOutput}) { // that is said by CheckOutputs
				wrong = append(wrong, SpecError{i, fmt.Errorf("its pin %s is that of %q too", s.Pin, specs[first].Name)})
			}
			continue
		}
		taken[at] = i
	}
	return wrong
}

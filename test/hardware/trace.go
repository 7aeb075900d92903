package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// step is something that the kernel did to a line: it drove a level, read one, or changed its direction.
type step struct {
	at   time.Duration // CLOCK_MONOTONIC
	task string
	line int // the kernel's global number
	what string
	high bool // the level of stepSet and stepGet
}

// What a step does.
const (
	stepSet = "set"
	stepGet = "get"
	stepIn  = "in"
	stepOut = "out"
)

var errTrace = errors.New("the kernel's trace")

// parseTrace reads /sys/kernel/tracing/trace. It fails where the buffer was too small, for then something is missing.
func parseTrace(text string) ([]step, error) {
	var steps []step
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if counts, ok := strings.CutPrefix(line, "# entries-in-buffer/entries-written: "); ok {
			kept, written, _ := strings.Cut(strings.Fields(counts)[0], "/")
			if kept != written {
				return nil, fmt.Errorf("%w has only %s of %s entries", errTrace, kept, written)
			}
		}
		if strings.HasPrefix(line, "CPU:") && strings.Contains(line, "LOST") {
			return nil, fmt.Errorf("%w: %s", errTrace, line)
		}
		before, event, ok := strings.Cut(line, ": gpio_")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		s, err := parseStep(before, event)
		if err != nil {
			return nil, fmt.Errorf("%w has the line %q: %w", errTrace, line, err)
		}
		steps = append(steps, s)
	}
	return steps, nil
}

// parseStep takes "gateway-123 [001] ..... 12.345678" and "value: 511 set 1" or "direction: 511 out (0)".
func parseStep(before, event string) (step, error) {
	words, said := strings.Fields(before), strings.Fields(event)
	if len(words) < 4 || len(said) != 4 {
		return step{}, fmt.Errorf("want a task, its processor and a time, and three words about a line")
	}
	dash := strings.LastIndexByte(words[0], '-')
	if at := len(words) - 4; at > 0 { // the task's name has blanks
		dash = len(words[0])
	}
	s := step{task: words[0][:max(dash, 0)], what: said[2]}
	seconds, err := strconv.ParseFloat(words[len(words)-1], 64)
	if err != nil {
		return step{}, err
	}
	s.at = time.Duration(seconds * float64(time.Second))
	if s.line, err = strconv.Atoi(said[1]); err != nil {
		return step{}, err
	}
	switch kind := said[0] + said[2]; kind {
	case "value:" + stepSet, "value:" + stepGet:
		s.high = said[3] != "0"
	case "direction:" + stepIn, "direction:" + stepOut:
		if said[3] != "(0)" {
			return step{}, fmt.Errorf("the kernel could not: %s", said[3])
		}
	default:
		return step{}, fmt.Errorf("there is no event %q", kind)
	}
	return s, nil
}

// driven is what a line was driven to, in order, without what changed nothing, and how many times it was made an input. The level that a line gets with its
// direction is traced before the direction is.
func driven(steps []step, line int) (levels []bool, inputs int) {
	for _, s := range steps {
		if s.line != line {
			continue
		}
		switch s.what {
		case stepIn:
			inputs++
		case stepSet:
			if len(levels) == 0 || levels[len(levels)-1] != s.high {
				levels = append(levels, s.high)
			}
		}
	}
	return levels, inputs
}

// trace begins a new timeline.
func (m *machine) trace(ctx context.Context) error {
	_, err := m.shell(ctx, "cd "+tracing+" && echo 16384 >buffer_size_kb && echo mono >trace_clock && echo 1 >events/gpio/enable && echo >trace && echo 1 >tracing_on")
	return err
}

// tracing is where the kernel's timeline is.
const tracing = "/sys/kernel/tracing"

// traced is the timeline so far.
func (m *machine) traced(ctx context.Context) ([]step, error) {
	text, err := m.read(ctx, tracing+"/trace")
	if err != nil {
		return nil, err
	}
	return parseTrace(string(text))
}

// number is the kernel's global number of a simulated line, by which the trace calls it.
func (m *machine) number(ctx context.Context, offset int) (int, error) {
	out, err := m.shell(ctx, "for c in /sys/class/gpio/gpiochip*; do [ $(cat $c/label) = pinctrl-simpi ] && cat $c/base; done; true")
	if err != nil {
		return 0, err
	}
	base, err := strconv.Atoi(strings.TrimSpace(out))
	if err != nil {
		return 0, fmt.Errorf("the simulated chip's first number: %w", err)
	}
	return base + offset, nil
}

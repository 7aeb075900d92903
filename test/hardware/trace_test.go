package main

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// What a kernel 6.1 printed.
const traceText = `# tracer: nop
#
# entries-in-buffer/entries-written: 5/5   #P:2
#
#                                _-----=> irqs-off/BH-disabled
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
#              | |         |   |||||     |         |
         gateway-153     [001] .....    12.345678: gpio_value: 511 set 1
         gateway-153     [001] .....    12.345690: gpio_direction: 511 out (0)
   my task-1-153     [000] d.h1.    13.000000: gpio_value: 504 get 0
         gateway-153     [000] .....    14.500000: gpio_value: 511 set 0
         gateway-153     [000] .....    14.600000: gpio_direction: 511  in (0)
`

func TestTraceIsParsed(t *testing.T) {
	t.Parallel()
	steps, err := parseTrace(traceText)
	if err != nil || len(steps) != 5 {
		t.Fatalf("got %d steps and %v, want 5", len(steps), err)
	}
	if got, want := steps[0], (step{at: 12345678 * time.Microsecond, task: "gateway", line: 511, what: stepSet, high: true}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	levels, inputs := driven(steps, 511)
	if !slices.Equal(levels, []bool{true, false}) || inputs != 1 {
		t.Errorf("line 511 was driven to %v and made an input %d times, want true, false and once", levels, inputs)
	}
}

func TestTraceThatLostSomethingIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"# entries-in-buffer/entries-written: 5/9   #P:2\n",
		"CPU:1 [LOST 12 EVENTS]\n",
		"  gateway-153 [001] ..... 12.3: gpio_direction: 511 out (-16)\n",
		"  gateway-153 [001] ..... 12.3: gpio_other: 511 out (0)\n",
		"  gateway-153 [001] ..... noon: gpio_value: 511 set 1\n",
	} {
		if steps, err := parseTrace(text); !errors.Is(err, errTrace) {
			t.Errorf("%q: got %d steps and %v, want an error", text, len(steps), err)
		}
	}
}

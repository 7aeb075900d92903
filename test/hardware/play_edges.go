package main

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"time"

	"gateway/test/hardware/talk"
)

// doorOf is an input on GPIO17 with what else its line of the configuration says.
func doorOf(more string) string {
	return "{name: door, type: gpio_input, pin: GPIO17, chip: " + talk.ChipLabel + more + "}"
}

const doorSubject = "devices/door"

// doorWorld has a door alone. It returns when the door has told its level, which is when its line is open.
func doorWorld(ctx context.Context, l *lab, b board, name, more string) (*world, error) {
	w, err := l.worldOn(ctx, b, name, func(url string) []string {
		return []string{devices(doorOf(more)), section("forwarders", []string{cloud(url)})}
	})
	if err != nil {
		return nil, err
	}
	if _, err := w.arrived(ctx, 1, "device.input", doorSubject); err != nil {
		w.close(ctx)
		return nil, err
	}
	return w, nil
}

// doorEvents are all events of the door's, in order.
func (w *world) doorEvents() []arrival { return w.up.ledger.of("", doorSubject) }

// playEdges makes edges slowly, fast, and while the gateway stands still, and wants every edge that the kernel numbered to be an event or reported as lost.
func playEdges(ctx context.Context, l *lab) (string, error) {
	w, err := doorWorld(ctx, l, arm64(), "edges", "")
	if err != nil {
		return "", err
	}
	defer w.close(ctx)
	var numbers []string
	for _, burst := range []struct {
		what    string
		count   int
		period  time.Duration
		stalled bool
		lossy   bool // edges may be lost
	}{
		{"100 Hz", l.edges, 10 * time.Millisecond, false, false},
		{"1,000 Hz", 2000, time.Millisecond, false, true},
		{"1,000 Hz with a gateway that stands still", 2000, time.Millisecond, true, true},
	} {
		before := edgesOf(w.doorEvents())
		made, err := w.burst(ctx, burst.count, burst.period, burst.stalled)
		if err != nil {
			return strings.Join(numbers, "; "), fmt.Errorf("%s: %w", burst.what, err)
		}
		after, err := tallyEdges(w.doorEvents())
		received, overrun := after.received-before.received, after.overrun-before.overrun
		said := fmt.Sprintf("%s: %d written at %.0f Hz, %d numbered by the kernel = %d received + %d overrun", burst.what, made.Edges,
			float64(made.Edges-1)/(made.Last-made.First).Seconds(), after.last-before.last, received, overrun)
		numbers = append(numbers, said)
		l.say("edges: %s", said)
		switch {
		case err != nil:
			return strings.Join(numbers, "; "), fmt.Errorf("%s: %w", burst.what, err)
		case !burst.lossy && received != made.Edges:
			return strings.Join(numbers, "; "), fmt.Errorf("%s: want all %d edges", burst.what, made.Edges)
		case burst.stalled && overrun == 0:
			return strings.Join(numbers, "; "), fmt.Errorf("%s: nothing was lost, so nothing is proved", burst.what)
		case !burst.lossy && int(after.last-before.last) != made.Edges: // faster than that the emulator may make one of two, which nobody can know
			return strings.Join(numbers, "; "), fmt.Errorf("%s: the kernel numbered %d edges of %d: the machine made one of two", burst.what, after.last-before.last, made.Edges)
		}
	}
	return strings.Join(numbers, "; "), nil
}

// edgesOf is the tally of events that add up, or as far as they do.
func edgesOf(events []arrival) edgeTally {
	t, _ := tallyEdges(events) // the caller tallies again
	return t
}

// burst makes edges, then one more after a pause, behind which the kernel has nothing to hide, and waits until all of it is upstream.
func (w *world) burst(ctx context.Context, count int, period time.Duration, stalled bool) (*talk.Made, error) {
	if stalled {
		if err := w.signal(ctx, "gateway", int(syscall.SIGSTOP)); err != nil {
			return nil, err
		}
	}
	made, err := w.edges(ctx, talk.Train{Line: "GPIO17", Count: count, Period: period})
	if err != nil {
		return nil, err
	}
	if stalled {
		if err := w.signal(ctx, "gateway", int(syscall.SIGCONT)); err != nil {
			return nil, err
		}
		if err := w.deliverAll(ctx, "awake"); err != nil {
			return nil, err
		}
	}
	last, err := w.edges(ctx, talk.Train{Line: "GPIO17", Count: 1})
	if err != nil {
		return nil, err
	}
	made.Edges++
	return made, w.sees(ctx, last.First)
}

// sees waits until the edge that was made at or after a time of the guest's clock is upstream, and with it all before.
func (w *world) sees(ctx context.Context, made time.Duration) error {
	return eventually(ctx, arrivalPatience, func() error {
		events := w.up.ledger.of("device.input", doorSubject)
		if len(events) == 0 {
			return fmt.Errorf("no edge came")
		}
		if at := time.Duration(events[len(events)-1].readings()["monotonic_ns"]); at < made {
			return fmt.Errorf("the edge at %s did not come; the last one, %s, was at %s; the gateway said: %s", made, events[len(events)-1].Data, at, w.gateway.tail(ctx))
		}
		return w.up.ledger.broken()
	})
}

// debounced is how many events a debounced line makes of levels that held for so long each, the first of them after an edge, and the last one for ever; least where
// what held for about the time did not, and most where it did.
func debounced(held []time.Duration, debounce time.Duration) (least, most int) {
	const about = 15 * time.Millisecond
	count := func(enough time.Duration) (n int) {
		told, level := false, true
		for i := 0; i <= len(held); i++ {
			if (i == len(held) || held[i] >= enough) && level != told {
				told = level
				n++
			}
			level = !level
		}
		return n
	}
	a, b := count(debounce+about), count(debounce-about)
	return min(a, b), max(a, b)
}

// playDebounce presses a bouncing contact: each press and each release is one event.
func playDebounce(ctx context.Context, l *lab) (string, error) {
	const debounce = 40 * time.Millisecond
	w, err := doorWorld(ctx, l, arm64(), "debounce", fmt.Sprintf(", debounce: %s", debounce))
	if err != nil {
		return "", err
	}
	defer w.close(ctx)
	const presses, bounces = 100, 4
	made, err := w.edges(ctx, talk.Train{Line: "GPIO17", Count: presses, Period: 400 * time.Millisecond, Bounces: bounces, BouncePeriod: 300 * time.Microsecond})
	if err != nil {
		return "", err
	}
	if err := w.sees(ctx, made.Last-2*time.Millisecond); err != nil { // it counts from its last bounce on, or from when the level has held
		return "", err
	}
	if err := w.deliverAll(ctx, "end"); err != nil {
		return "", err
	}
	events := w.up.ledger.of("device.input", doorSubject)[1:]
	least, most := debounced(made.Held, debounce)
	numbers := fmt.Sprintf("%d edges of %d presses and releases became %d events", made.Edges, presses, len(events))
	if least != presses || most != presses {
		numbers += fmt.Sprintf(" (the machine stood still meanwhile: the levels held long enough %d to %d times)", least, most)
	}
	if len(events) < least || len(events) > most {
		return numbers, fmt.Errorf("want %d to %d events", least, most)
	}
	for i, e := range events {
		want := `"state":"on"`
		if i%2 == 1 {
			want = `"state":"off"`
		}
		if !strings.Contains(string(e.Data), want) {
			return numbers, fmt.Errorf("event %d is %s, want %s", i+1, e.Data, want)
		}
	}
	return numbers, nil
}

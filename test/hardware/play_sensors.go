package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// playSensors has every driver read its simulated chip through the kernel, unplugs the chips, hangs the bus, garbles what is read, and wants each fault told,
// the right value back after each, and a bus that hangs to slow no other.
func playSensors(ctx context.Context, l *lab) (string, error) {
	chips := simChips()
	var lines []string
	for _, c := range chips {
		interval := "1s"
		if c.driver == "scd4x" { // it measures every five
			interval = "5s"
		}
		lines = append(lines, fmt.Sprintf("{name: %s, type: %s, bus: \"%d\", address: 0x%02x, interval: %s%s}", c.driver, c.driver, c.bus, c.addr, interval, c.more))
	}
	w, err := l.prepare(ctx, arm64(), "sensors", func(url string) []string {
		return []string{devices(lines...), section("forwarders", []string{cloud(url)})}
	})
	if err != nil {
		return "", err
	}
	defer w.close(ctx)
	for _, c := range chips {
		if err := w.load(ctx, &c); err != nil {
			return "", err
		}
	}
	if err := w.gateway.start(ctx); err != nil {
		return "", err
	}
	s := &sensorWorld{world: w, chips: chips}
	if err := s.right(ctx); err != nil {
		return "", fmt.Errorf("at the start: %w", err)
	}
	numbers := fmt.Sprintf("%d drivers read the datasheets' values", len(chips))
	for _, phase := range []struct {
		what string
		play func(context.Context) (string, error)
	}{{"unplugged", s.unplugged}, {"hung", s.hung}, {"garbled", s.garbled}} {
		l.say("sensors: %s", phase.what)
		said, err := phase.play(ctx)
		if err != nil {
			return numbers, fmt.Errorf("%s: %w", phase.what, err)
		}
		numbers += "; " + phase.what + said
	}
	return numbers, nil
}

type sensorWorld struct {
	*world
	chips []simChip
}

func subjectOf(c *simChip) string { return "devices/" + c.driver }

// matches tells whether a reading has all that the chip's datasheet says.
func (c *simChip) matches(a *arrival) error {
	got := a.readings()
	for quantity, want := range c.want {
		if v, ok := got[quantity]; !ok || math.Abs(v-want) > c.slack*math.Abs(want)+1e-9 {
			return fmt.Errorf("%s: %s is %s, want %s %v", c.driver, a.Subject, a.Data, quantity, want)
		}
	}
	return nil
}

// right waits until a reading of each chip's that comes from now on is right.
func (s *sensorWorld) right(ctx context.Context) error {
	from := make([]int, len(s.chips))
	for i := range s.chips {
		from[i] = len(s.up.ledger.of("device.reading", subjectOf(&s.chips[i])))
	}
	return eventually(ctx, arrivalPatience, func() error {
		var errs []error
		for i := range s.chips {
			errs = append(errs, s.latest(&s.chips[i], from[i]))
		}
		return errors.Join(errs...)
	})
}

// latest wants a right reading behind the first ones.
func (s *sensorWorld) latest(c *simChip, first int) error {
	readings := s.up.ledger.of("device.reading", subjectOf(c))
	if len(readings) > first {
		return c.matches(&readings[len(readings)-1])
	}
	faults := s.up.ledger.of("device.fault", subjectOf(c)+"/fault")
	if len(faults) == 0 {
		return fmt.Errorf("%s: no reading came, and no fault", c.driver)
	}
	return fmt.Errorf("%s: no reading came; the last fault is %s", c.driver, faults[len(faults)-1].Data)
}

// faultOf plays a fault of some chips: breaks it, waits until each has told of it, mends it, and waits until each has told that too and reads right again.
func (s *sensorWorld) faultOf(ctx context.Context, chips []simChip, breaks, meanwhile, mends func() error) error {
	faults, recovered := make([]int, len(chips)), make([]int, len(chips))
	for i := range chips {
		faults[i] = len(s.up.ledger.of("device.fault", subjectOf(&chips[i])+"/fault"))
		recovered[i] = len(s.up.ledger.of("device.recovered", subjectOf(&chips[i])+"/fault"))
	}
	if err := breaks(); err != nil {
		return err
	}
	var errs []error
	for i := range chips {
		_, err := s.arrived(ctx, faults[i]+1, "device.fault", subjectOf(&chips[i])+"/fault")
		errs = append(errs, err)
	}
	errs = append(errs, meanwhile(), mends())
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for i := range chips {
		_, err := s.arrived(ctx, recovered[i]+1, "device.recovered", subjectOf(&chips[i])+"/fault")
		errs = append(errs, err)
	}
	return errors.Join(append(errs, s.right(ctx))...)
}

func nothing() error { return nil }

func (s *sensorWorld) unplugged(ctx context.Context) (string, error) {
	began := time.Now()
	plug := func(gone int) func() error {
		return func() error {
			for i := range s.chips {
				if err := s.set(ctx, s.chips[i].file("gone"), gone); err != nil {
					return err
				}
			}
			return nil
		}
	}
	err := s.faultOf(ctx, s.chips, plug(1), nothing, plug(0))
	return fmt.Sprintf(" and back in %.0f s", time.Since(began).Seconds()), err
}

// hung hangs bus 1; the chip on bus 2 goes on.
func (s *sensorWorld) hung(ctx context.Context) (string, error) {
	var on1 []simChip
	other := ""
	for _, c := range s.chips {
		if c.bus == 1 {
			on1 = append(on1, c)
		} else {
			other = subjectOf(&c)
		}
	}
	read, took := 0, time.Duration(0)
	meanwhile := func() error {
		before, began := len(s.up.ledger.of("device.reading", other)), time.Now()
		if _, err := s.arrived(ctx, before+10, "device.reading", other); err != nil {
			return err
		}
		read, took = 10, time.Since(began)
		if took > 20*time.Second {
			return fmt.Errorf("the other bus took %s for ten readings at 1 s", took)
		}
		return nil
	}
	hang := func(ms int) func() error { return func() error { return s.set(ctx, busFile(1, "hang_ms"), ms) } }
	err := s.faultOf(ctx, on1, hang(500), meanwhile, hang(0))
	return fmt.Sprintf(": the other bus made %d readings in %.1f s", read, took.Seconds()), err
}

// checked are the drivers whose chips send a checksum: garbled, they must say nothing rather than something wrong.
func checked(driver string) bool { return driver == "sht4x" || driver == "aht20" || driver == "scd4x" }

func (s *sensorWorld) garbled(ctx context.Context) (string, error) {
	before := make([]int, len(s.chips))
	for i := range s.chips {
		before[i] = len(s.up.ledger.of("device.reading", subjectOf(&s.chips[i])))
	}
	if err := s.set(ctx, busFile(1, "garble"), 60); err != nil {
		return "", err
	}
	err := eventually(ctx, arrivalPatience, func() error {
		left, err := s.word(ctx, busFile(1, "garble"))
		if err != nil {
			return err
		}
		if n, err := strconv.Atoi(left); err != nil || n > 0 {
			return fmt.Errorf("%q reads are still to be garbled", left)
		}
		return nil
	})
	if err == nil {
		err = s.right(ctx)
	}
	wrong := 0
	for i := range s.chips {
		c := &s.chips[i]
		for _, a := range s.up.ledger.of("device.reading", subjectOf(c))[before[i]:] {
			bad := c.matches(&a)
			if bad == nil {
				continue
			}
			wrong++
			if checked(c.driver) {
				err = errors.Join(err, fmt.Errorf("a wrong value in spite of a checksum: %w", bad))
			}
		}
	}
	return fmt.Sprintf(": 60 reads, %d wrong values of chips without a checksum, none of the others; right again", wrong), err
}

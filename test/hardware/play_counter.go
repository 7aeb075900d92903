package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"gateway/test/hardware/talk"
)

const waterSubject = "devices/water"

// meter is a counter on GPIO27 and what it must have counted. It belongs to one goroutine.
type meter struct {
	*world
	rng    *rand.Rand
	least  int // pulses that must be in the total
	most   int // pulses that can be
	lost   int // how far they are apart, all rounds together: pulses at the moment of a kill
	missed int // pulses that were made while nobody watched, and must not be counted
}

// playCounter kills a counting gateway again and again: while a meter turns, and at rest just after; then it cuts the power. Each pulse that a living process was
// given is in the total once.
func playCounter(ctx context.Context, l *lab) (string, error) {
	w, err := l.world(ctx, "counter", func(url string) []string {
		return []string{devices("{name: water, type: gpio_counter, pin: GPIO27, chip: " + talk.ChipLabel + ", edges: rising, interval: 1s, unit: L, per_pulse: 0.5}"),
			section("forwarders", []string{cloud(url)})}
	})
	if err != nil {
		return "", err
	}
	defer w.close(ctx)
	m := &meter{world: w, rng: rand.New(rand.NewPCG(l.seed, 0))}
	if _, err := w.arrived(ctx, 1, "device.count", waterSubject); err != nil {
		return "", err
	}
	for kill := range l.kills {
		round := m.atRest
		if kill%2 == 1 {
			round = m.turning
		}
		if err := round(ctx); err != nil {
			return m.numbers(kill), fmt.Errorf("kill %d: %w", kill+1, err)
		}
		l.say("counter: kill %d of %d: total %d", kill+1, l.kills, m.least)
	}
	if err := m.powerCut(ctx); err != nil {
		return m.numbers(l.kills), fmt.Errorf("power cut: %w", err)
	}
	gaps := len(w.up.ledger.of("device.gap", waterSubject))
	if gaps < l.kills+1 {
		return m.numbers(l.kills), fmt.Errorf("%d gaps were told, want one for each of %d kills and the power cut", gaps, l.kills)
	}
	return m.numbers(l.kills), nil
}

func (m *meter) numbers(kills int) string {
	return fmt.Sprintf("%d kills: total %d, exact but for %d pulses at the moments of kills; %d that nobody watched were not counted", kills, m.least, m.lost, m.missed)
}

// pulses makes rising edges at 50 Hz, with falling ones between.
func (m *meter) pulses(ctx context.Context, n int) (*talk.Made, error) {
	return m.edges(ctx, talk.Train{Line: "GPIO27", Count: 2 * n, Period: pulsePeriod / 2})
}

const (
	pulsePeriod = 20 * time.Millisecond
	// hasRead is within what time the gateway reads edges.
	hasRead = 300 * time.Millisecond
)

// settle waits until the total says what it must.
func (m *meter) settle(ctx context.Context) error {
	var total int
	err := eventually(ctx, arrivalPatience, func() error {
		counts := m.up.ledger.of("device.count", waterSubject)
		total = int(counts[len(counts)-1].readings()["total"])
		if total < m.least {
			return fmt.Errorf("the total is %d, want %d at least; the last count is %s", total, m.least, counts[len(counts)-1].Data)
		}
		return m.up.ledger.broken()
	})
	if err != nil {
		return err
	}
	if total > m.most {
		return fmt.Errorf("the total is %d, and there were %d pulses: some were counted twice, or nobody can have seen them", total, m.most)
	}
	m.lost += m.most - m.least
	m.least, m.most = total, total
	return nil
}

// atRest makes pulses, gives the gateway the time to read but not always the time to commit, kills it, and makes pulses that nobody sees.
func (m *meter) atRest(ctx context.Context) error {
	n := 5 + m.rng.IntN(30)
	if _, err := m.pulses(ctx, n); err != nil {
		return err
	}
	m.least, m.most = m.least+n, m.most+n
	if err := wait(ctx, hasRead+time.Duration(m.rng.IntN(1000))*time.Millisecond); err != nil {
		return err
	}
	if err := m.gateway.kill(ctx); err != nil {
		return err
	}
	unseen := 1 + m.rng.IntN(10)
	if _, err := m.pulses(ctx, unseen); err != nil {
		return err
	}
	m.missed += unseen
	return m.back(ctx)
}

// turning kills the gateway while pulses come.
func (m *meter) turning(ctx context.Context) error {
	const n = 40
	type outcome struct {
		made *talk.Made
		err  error
	}
	turned := make(chan outcome, 1)
	go func() {
		made, err := m.pulses(ctx, n)
		turned <- outcome{made, err}
	}()
	if err := wait(ctx, time.Duration(100+m.rng.IntN(500))*time.Millisecond); err != nil {
		return err
	}
	before, _, err := m.clock(ctx)
	if err == nil {
		err = m.gateway.kill(ctx)
	}
	if err != nil {
		return err
	}
	after, _, err := m.clock(ctx)
	if err != nil {
		return err
	}
	o := <-turned
	if o.err != nil {
		return o.err
	}
	// The train may be slower than it should, by as much as it took longer; it is never faster.
	slower := float64(o.made.Last-o.made.First) / float64(pulsePeriod/2*(2*n-1))
	seen := max(0, int(float64(before-hasRead-o.made.First)/slower/float64(pulsePeriod))-1)
	m.least += min(n, seen)
	m.most += min(n, max(0, int((after-o.made.First)/pulsePeriod)+2))
	return m.back(ctx)
}

// back starts the gateway again and waits until it has told of the gap, which is when it counts.
func (m *meter) back(ctx context.Context) error {
	gaps := len(m.up.ledger.of("device.gap", waterSubject))
	counts := len(m.up.ledger.of("device.count", waterSubject))
	if err := m.gateway.start(ctx); err != nil {
		return err
	}
	if _, err := m.arrived(ctx, gaps+1, "device.gap", waterSubject); err != nil {
		return err
	}
	if _, err := m.arrived(ctx, counts+2, "device.count", waterSubject); err != nil { // one may be of before the kill
		return err
	}
	return m.settle(ctx)
}

// powerCut costs what came since the last commit, and no more: an interval.
func (m *meter) powerCut(ctx context.Context) error {
	const n = 200 // four seconds
	if _, err := m.pulses(ctx, n); err != nil {
		return err
	}
	gaps := len(m.up.ledger.of("device.gap", waterSubject))
	counts := len(m.up.ledger.of("device.count", waterSubject))
	const interval = 50 * 2 // pulses of an interval of one second, and one that a busy machine was late
	m.least, m.most = m.least+n-interval, m.most+n
	if err := m.reboot(ctx); err != nil {
		return err
	}
	if _, err := m.arrived(ctx, gaps+1, "device.gap", waterSubject); err != nil {
		return err
	}
	if _, err := m.arrived(ctx, counts+1, "device.count", waterSubject); err != nil {
		return err
	}
	return m.settle(ctx)
}

// wait lets time pass: for a moment that is to be a random one, never for something to happen.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

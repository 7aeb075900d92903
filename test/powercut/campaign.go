package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"gateway/internal/load/wire"
	"gateway/test/powercut/found"
	"gateway/test/rig"
	"gateway/test/vm"
)

// powercut is what all campaigns share.
type powercut struct {
	dir       string // for everything; an absolute path without commas
	kernel    *kernel
	initramfs string
	seed      uint64
	clients   int
	rate      float64 // publishes a second of all clients
	boots     int     // so far; every other one with a kernel that writes back eagerly
}

// campaign cuts the power of one disk again and again. It belongs to one goroutine.
type campaign struct {
	*powercut
	mode                    string
	cuts, positions, guests int
	rng                     *rand.Rand
	ledger                  *ledger
	tally                   tally
	dark                    atomic.Bool // the power is cut, or is about to be

	disk, base, scratch, log string // images, and the write log
	checked                  int    // positions so far
}

func (r *powercut) campaign(mode string, cuts, positions, guests int) *campaign {
	path := func(name string) string { return filepath.Join(r.dir, mode+"-"+name) }
	return &campaign{
		powercut: r, mode: mode, cuts: cuts, positions: positions, guests: guests,
		rng: rand.New(rand.NewPCG(r.seed, uint64(mode[0]))), ledger: newLedger(r.clients), tally: newTally(),
		disk: path("disk.img"), base: path("before.img"), scratch: path("rebuilt.img"), log: path("writes.log"),
	}
}

// run makes the disk, and boots and cuts it; the boot behind the last cut shows what that one left. The error says that
// it could not be finished; what it found is in the tally.
func (c *campaign) run(ctx context.Context) error {
	if err := vm.MakeImage(ctx, c.disk, diskSize); err != nil {
		return err
	}
	for boot := 1; boot <= c.cuts+1; boot++ {
		started := time.Now()
		if err := c.cycle(ctx, boot); err != nil {
			return fmt.Errorf("%s, boot %d: %w", c.mode, boot, err)
		}
		if boot <= c.cuts {
			fmt.Printf("%s: cut %d of %d: %d acknowledged so far; %s; %.0f s\n",
				c.mode, boot, c.cuts, c.ledger.total(), c.tally.line(), time.Since(started).Seconds())
		}
	}
	return nil
}

// cycle boots, looks at what survived, works until the power is cut, and then looks at other moments at which it could have been.
func (c *campaign) cycle(ctx context.Context, boot int) error {
	if err := copyImage(ctx, c.disk, c.base); err != nil {
		return err
	}
	c.ledger.booted()
	m, err := c.boot(fmt.Sprintf("%s-%02d", c.mode, boot), c.mode, c.disk, c.log)
	if err != nil {
		return err
	}
	defer m.process.Kill()
	if err := c.afterBoot(ctx, m, boot); err != nil {
		return err
	}
	if boot > c.cuts {
		return nil
	}
	if err := c.work(ctx, m); err != nil {
		return err
	}
	return c.otherMoments(ctx, boot)
}

// afterBoot judges the cut before this boot, and waits until the server has opened its log. Where it does not open, nothing can follow.
func (c *campaign) afterBoot(ctx context.Context, m *machine, boot int) error {
	f, err := m.survivors(ctx)
	if err == nil {
		err = m.accepts(ctx)
	}
	if err != nil && ctx.Err() == nil {
		c.tally.fail("boot %d: %v (%s)", boot, err, c.evidence(ctx, c.base, boot, "cut"))
	}
	if err != nil || boot == 1 {
		return err
	}
	j := c.ledger.judge(&f, always)
	c.tally.cuts.add(&f, j)
	if c.wrong(&f, j) {
		c.tally.fail("cut %d: %s (%s)", boot-1, j.text(&f), c.evidence(ctx, c.base, boot, "cut"))
	}
	return nil
}

// wrong tells whether a promise was broken. The control that does not sync gives none, and the one that does only that
// what it acknowledged is there.
func (c *campaign) wrong(f *found.Found, j judgement) bool {
	switch c.mode {
	case appendMode:
		return f.Error != ""
	case syncMode:
		return f.Error != "" || j.missing > 0
	}
	return f.Error != "" || f.Faults() > 0 || j.missing > 0 || j.invented > 0
}

// work publishes until the power is cut, at a random time after the first acknowledgement.
func (c *campaign) work(ctx context.Context, m *machine) error {
	publishers, err := c.connect(m)
	if err != nil {
		return err
	}
	group, working := errgroup.WithContext(ctx)
	for _, p := range publishers {
		group.Go(func() error { return p.run(working) })
	}
	before := c.ledger.total()
	rig.Poll(working, bootPatience, func() bool { return c.ledger.total() > before })
	timer := time.NewTimer(c.when())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-working.Done(): // something is wrong, or an interrupt
	case <-m.process.Done():
	}
	c.dark.Store(true)
	m.process.Kill()
	if err := errors.Join(group.Wait(), m.worked()); err != nil && ctx.Err() == nil {
		c.tally.fail("at work: %v", err)
	}
	if c.ledger.total() == before && ctx.Err() == nil {
		return fmt.Errorf("nothing was acknowledged: %s", m.process.Tail())
	}
	return ctx.Err()
}

// connect returns the clients of this boot.
func (c *campaign) connect(m *machine) ([]*publisher, error) {
	c.dark.Store(false)
	var publishers []*publisher
	for n := range c.clients {
		conn, _, err := wire.Dial(m.addr, options(fmt.Sprintf("client-%d", n)), bootPatience)
		if err != nil {
			for _, p := range publishers {
				err = errors.Join(err, p.conn.Close())
			}
			return nil, err
		}
		publishers = append(publishers, &publisher{
			n: n, ledger: c.ledger, conn: conn, log: c.log, inFlight: make(chan uint64, window), dark: &c.dark,
			every: time.Duration(float64(c.clients) / c.rate * float64(time.Second)),
		})
	}
	return publishers, nil
}

// when is how long the load lasts: as a rule some seconds, and one time in five next to nothing.
func (c *campaign) when() time.Duration {
	if c.rng.IntN(5) == 0 {
		return time.Duration(c.rng.IntN(100)) * time.Millisecond
	}
	return time.Duration(500+c.rng.IntN(5500)) * time.Millisecond
}

// mostEvidence bounds the images that are kept.
const mostEvidence = 10

// evidence keeps a copy of an image that shows a fault and returns where.
func (c *campaign) evidence(ctx context.Context, image string, boot int, what string) string {
	if len(c.tally.failures) >= mostEvidence {
		return "no image kept: there are enough"
	}
	kept := filepath.Join(c.dir, fmt.Sprintf("failed-%s-boot%d-%s.img", c.mode, boot, what))
	if err := copyImage(ctx, image, kept); err != nil {
		return err.Error()
	}
	return kept
}

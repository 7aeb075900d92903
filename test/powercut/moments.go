package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sort"

	"gateway/test/powercut/found"
	"gateway/test/powercut/writelog"
)

// otherMoments rebuilds the disk as it would have been had the power gone at other places of this boot's write log, and
// judges each. At the end it rebuilds the disk as it is, which shows that the write log is right.
func (c *campaign) otherMoments(ctx context.Context, boot int) error {
	log, err := os.Open(c.log)
	if err != nil {
		return err
	}
	defer log.Close()
	info, err := log.Stat()
	if err != nil {
		return err
	}
	entries, err := writelog.Read(log, info.Size())
	if err != nil {
		return err
	}
	base, err := os.OpenFile(c.base, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer base.Close()
	disk := writelog.NewDisk(log, entries, base)
	c.tally.requests(entries)
	share := c.positions*boot/c.cuts - c.checked // with what a boot that wrote little left over
	for _, n := range c.choose(entries, share) {
		if err := disk.MoveTo(n); err != nil {
			return err
		}
		c.checked++
		for _, rng := range []*rand.Rand{nil, c.rng} {
			if err := c.moment(ctx, disk, entries, n, rng, boot); err != nil {
				return fmt.Errorf("position %d of %d: %w", n, len(entries), err)
			}
		}
	}
	if err := disk.Complete(); err != nil {
		return err
	}
	return sameDisk(base, c.disk)
}

// choose returns sorted positions, by thirds: anywhere; the first moment at which some acknowledgement must hold; and just
// before a flush, where the most can be lost. None comes twice in a boot that wrote enough.
func (c *campaign) choose(entries []writelog.Entry, count int) []int {
	var positions []int
	for tries := 0; len(positions) < count && tries < 50*count; tries++ {
		n := c.rng.IntN(len(entries) + 1)
		at, ok := c.ledger.anAck(c.rng)
		switch len(positions) % 3 {
		case 1:
			if ok {
				n = sort.Search(len(entries), func(n int) bool { return length(entries, n) >= at })
			}
		case 2:
			for n < len(entries) && entries[n].Flags&writelog.Flush == 0 {
				n++
			}
		}
		if !slices.Contains(positions, n) || len(entries) < 3*count {
			positions = append(positions, n)
		}
	}
	slices.Sort(positions)
	return positions
}

// length is how long the write log is with n entries.
func length(entries []writelog.Entry, n int) int64 {
	if n == 0 {
		return writelog.SectorSize
	}
	return entries[n-1].End
}

// moment judges the disk that a cut at position n leaves: without rng with nothing unflushed, with rng with some of it.
func (c *campaign) moment(ctx context.Context, disk *writelog.Disk, entries []writelog.Entry, n int, rng *rand.Rand, boot int) error {
	if err := c.rebuild(ctx, disk, n, rng); err != nil {
		return err
	}
	tally, what := &c.tally.bare, "nothing-unflushed"
	if rng != nil {
		tally, what = &c.tally.partly, "some-unflushed"
	}
	where := fmt.Sprintf("position%d-%s", n, what)
	c.tally.leftOut += uint64(disk.Unflushed(n))
	if c.dueInGuest() && rng != nil {
		if err := c.inGuest(ctx, entries, n, boot); err != nil {
			return err
		}
	}
	f, err := c.onHost(ctx)
	if err != nil {
		c.tally.fail("boot %d, %s: %v (%s)", boot, where, err, c.evidence(ctx, c.scratch, boot, where))
		return ctx.Err()
	}
	j := c.ledger.judge(&f, length(entries, n))
	tally.add(&f, j)
	if c.wrong(&f, j) {
		c.tally.fail("boot %d, %s: %s (%s)", boot, where, j.text(&f), c.evidence(ctx, c.scratch, boot, where))
	}
	return nil
}

// rebuild leaves the disk in scratch.
func (c *campaign) rebuild(ctx context.Context, disk *writelog.Disk, n int, rng *rand.Rand) error {
	if err := copyImage(ctx, c.base, c.scratch); err != nil {
		return err
	}
	image, err := os.OpenFile(c.scratch, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(disk.Finish(image, n, rng), image.Close())
}

// onHost recovers scratch as a mount does, takes the files out and reads the log in them.
func (c *campaign) onHost(ctx context.Context) (found.Found, error) {
	if err := recoverImage(ctx, c.scratch); err != nil {
		return found.Found{}, err
	}
	files := filepath.Join(c.dir, "files")
	if err := os.RemoveAll(files); err != nil {
		return found.Found{}, err
	}
	if err := extract(ctx, c.scratch, files); err != nil {
		return found.Found{}, err
	}
	if c.mode != gatewayMode {
		return found.InAppendFile(filepath.Join(files, "control")), nil
	}
	return found.InGateway(ctx, filepath.Join(files, "log")), ctx.Err()
}

// dueInGuest spreads the boots of rebuilt disks over the positions.
func (c *campaign) dueInGuest() bool {
	return c.checked*c.guests/c.positions > (c.checked-1)*c.guests/c.positions
}

// inGuest boots a copy of scratch and judges what the guest finds; the gateway must open the log.
func (c *campaign) inGuest(ctx context.Context, entries []writelog.Entry, n, boot int) error {
	image, where := c.scratch+".booted", fmt.Sprintf("position%d-booted", n)
	if err := copyImage(ctx, c.scratch, image); err != nil {
		return err
	}
	m, err := c.boot(fmt.Sprintf("%s-%02d-position-%d", c.mode, boot, n), c.mode, image, c.log+".booted")
	if err != nil {
		return err
	}
	defer m.process.Kill()
	f, err := m.survivors(ctx)
	if err == nil {
		err = m.accepts(ctx)
	}
	if err != nil {
		c.tally.fail("boot %d, %s: %v (%s)", boot, where, err, c.evidence(ctx, c.scratch, boot, where))
		return ctx.Err()
	}
	j := c.ledger.judge(&f, length(entries, n))
	c.tally.booted.add(&f, j)
	if c.wrong(&f, j) {
		c.tally.fail("boot %d, %s: %s (%s)", boot, where, j.text(&f), c.evidence(ctx, c.scratch, boot, where))
	}
	return nil
}

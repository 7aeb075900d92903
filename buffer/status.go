package buffer

import (
	"maps"
	"sync/atomic"

	"gateway"
)

// counts are of this process.
type counts struct {
	appended, commits, payload, block, trimmed atomic.Uint64
}

func (c *counts) add(g *group, block []byte, cut cut) {
	if block != nil || len(g.cursors) > 0 || len(g.keys) > 0 || cut.n > 0 {
		c.commits.Add(1)
	}
	c.appended.Add(uint64(g.builder.count))
	c.payload.Add(uint64(g.builder.payload))
	c.block.Add(uint64(len(block)))
	c.trimmed.Add(cut.events)
}

// Status is a snapshot. Trimmed counts also what was deleted to keep to the bound while no cursor existed: nobody was
// owed it.
func (l *Log) Status() gateway.LogStatus {
	l.settledMu.Lock()
	cursors := maps.Clone(l.settled)
	l.settledMu.Unlock()
	failed := ""
	if err := l.failed(); err != nil {
		failed = err.Error()
	}
	return gateway.LogStatus{
		LogID: l.logID, Epoch: l.epoch, BootID: l.clock.bootIDText(),
		First: gateway.Offset(l.first.Load()), Last: l.durable(), BootFirst: l.bootFirst,
		Bytes: l.usage.bytes() + l.usage.ballast.bytes(), MaxBytes: l.o.MaxSize,
		Appended: l.counts.appended.Load(), Commits: l.counts.commits.Load(), PayloadBytes: l.counts.payload.Load(),
		BlockBytes: l.counts.block.Load(), Trimmed: l.counts.trimmed.Load(), Lost: l.losses.counts(),
		Full: l.usage.full.Load(), FullReason: l.usage.reason(), Failed: failed, Cursors: cursors, Gaps: l.gaps.all(),
		Clock: l.clock.status(),
		Wear:  l.wear.status(l.counts.appended.Load(), l.counts.payload.Load(), l.o.Endurance),
	}
}

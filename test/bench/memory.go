package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"gateway/internal/faultproxy"
	"gateway/test/rig"
)

// Bounds on resident memory, in bytes, and how much more a large backlog may take than a small one.
const (
	idleBound  = 30_000_000
	loadBound  = 96_000_000
	spreadMost = 1.2
)

func showMemory(m rig.Memory) string {
	return fmt.Sprintf("%s (anonymous %s)", megabytes(m.RSS), megabytes(m.Anon))
}

// memory measures the gateway idle, under load, and with a small and a large backlog while the line is down.
func (b *bench) memory(ctx context.Context) ([]line, error) {
	idle, err := b.idleMemory(ctx)
	if err != nil {
		return nil, err
	}
	busy, err := b.busyMemory(ctx)
	if err != nil {
		return nil, err
	}
	few, many := uint64(50_000/b.scale), uint64(5_000_000/b.scale)
	small, _, err := b.waitingMemory(ctx, few)
	if err != nil {
		return nil, err
	}
	b.discard()
	large, data, err := b.waitingMemory(ctx, many)
	if err != nil {
		return nil, err
	}
	b.waiting = data
	limit := "≤ 96 MB"
	spread := ratio(float64(large.after.RSS), float64(small.after.RSS))
	return []line{
		{load: "memory, idle", ours: showMemory(idle), target: "≤ 30 MB", verdict: verdict(idle.RSS <= idleBound)},
		{load: "memory, peak during 10×50 and forwarding", ours: showMemory(busy), target: limit, verdict: verdict(busy.RSS <= loadBound)},
		{
			load: fmt.Sprintf("memory, %d waiting, line down", many), ours: showMemory(large.after), peer: fmt.Sprintf("with %d %s", few, showMemory(small.after)),
			ratio: times(spread), target: limit + ", ≤ 1.2× of that with few", verdict: verdict(large.after.RSS <= loadBound && spread <= spreadMost),
			details: []string{
				fmt.Sprintf("peak while they came in: %s, with few %s", showMemory(large.peak), showMemory(small.peak)),
				fmt.Sprintf("on disk %s, with few %s", megabytes(large.disk), megabytes(small.disk)),
			},
		},
		{
			load: fmt.Sprintf("memory, %d waiting, started on them, line down", many), ours: showMemory(large.restarted),
			peer: fmt.Sprintf("with %d %s", few, showMemory(small.restarted)), ratio: times(ratio(float64(large.restarted.RSS), float64(small.restarted.RSS))), verdict: reported,
		},
	}, nil
}

// idleMemory is the most that the gateway has from ten seconds after its start on.
func (b *bench) idleMemory(ctx context.Context) (rig.Memory, error) {
	g := rig.Gateway{Program: b.gateway, Dir: b.dir, Name: b.name("gateway")}
	server, err := g.Start(ctx)
	if err != nil {
		return rig.Memory{}, err
	}
	defer server.Kill()
	if err := b.settle(ctx, 10*time.Second/time.Duration(min(b.scale, 10))); err != nil {
		return rig.Memory{}, err
	}
	return b.peak(ctx, server, b.duration)
}

// busyMemory is the gateway's peak during 10×50 while it forwards to an upstream, its start included.
func (b *bench) busyMemory(ctx context.Context) (rig.Memory, error) {
	upstream, err := b.tap(ctx)
	if err != nil {
		return rig.Memory{}, err
	}
	defer upstream.close()
	server, err := b.forwarding(ctx, upstream.addr, true)
	if err != nil {
		return rig.Memory{}, err
	}
	defer server.Kill()
	c := b.config(server.Addr, 10, 50)
	c.Duration *= 2
	return b.during(ctx, server, func() error {
		_, err := rig.RunLoad(ctx, b.load, c)
		return err
	})
}

// backlog is the memory of a gateway that cannot deliver: its peak while the events came in, later, and when it was
// killed and started again; and its disk.
type backlog struct {
	peak, after, restarted rig.Memory
	disk                   int64
}

// waitingMemory publishes count events while the line is down. The gateway's data is left.
func (b *bench) waitingMemory(ctx context.Context, count uint64) (m backlog, data string, err error) {
	line, err := faultproxy.New("127.0.0.1:9") // nothing is there, and the line is down
	if err != nil {
		return m, "", err
	}
	defer func() { _ = line.Close() }()
	line.SetDown()
	g := rig.Gateway{Program: b.gateway, Dir: b.dir, Name: b.name("gateway"), MaxSize: "16GB", Upstream: line.Addr(), Raw: true}
	server, err := g.Start(ctx)
	if err != nil {
		return m, "", err
	}
	defer server.Kill()
	c := b.config(server.Addr, 10, 50)
	c.Count = count
	m.peak, err = b.during(ctx, server, func() error {
		_, err := rig.RunLoad(ctx, b.load, c)
		return err
	})
	if err != nil {
		return m, "", err
	}
	if err := b.settle(ctx, 15*time.Second/time.Duration(min(b.scale, 10))); err != nil {
		return m, "", err
	}
	if m.after, err = b.peak(ctx, server, b.duration); err != nil {
		return m, "", err
	}
	m.disk = dirSize(filepath.Join(b.dir, g.Name))
	server.Kill()
	again, err := g.Start(ctx)
	if err != nil {
		return m, "", err
	}
	defer again.Kill()
	m.restarted, err = b.peak(ctx, again, b.duration)
	return m, g.Data(), err
}

// settle lets a server do what it does behind its clients.
func (b *bench) settle(ctx context.Context, d time.Duration) error { return wait(ctx, d) }

// wait returns after d, or ctx's error.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// peak is the most memory of a server within d.
func (b *bench) peak(ctx context.Context, server *rig.Broker, d time.Duration) (rig.Memory, error) {
	return b.during(ctx, server, func() error { return b.settle(ctx, d) })
}

// during is the most memory of a server while work runs.
func (b *bench) during(ctx context.Context, server *rig.Broker, work func() error) (rig.Memory, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type peak struct {
		memory rig.Memory
		err    error
	}
	sampled := make(chan peak, 1)
	go func() {
		m, err := rig.PeakMemory(ctx, server.PID())
		sampled <- peak{m, err}
	}()
	err := work()
	cancel()
	p := <-sampled
	if err != nil {
		return p.memory, err
	}
	return p.memory, p.err
}

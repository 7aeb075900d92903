package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"gateway/internal/faultproxy"
	badline "gateway/test/line"
	"gateway/test/rig"
)

// Bounds on delivery.
const (
	drainLeast   = 0.9     // of what the sink reaches without a gateway
	liveMost     = 2.0     // of the p99 without a backlog
	budgetRate   = 100_000 // bytes a second
	budgetLeast  = 90_000  // in any ten seconds, a second
	budgetMost   = 101_000 // the same
	budgetWindow = time.Second * 10
)

// lineLatency is how long each piece of up to 16 KiB waits on the line of a bad line's measurement, each way: it carries 1.6 MB/s at most.
const lineLatency = 10 * time.Millisecond

// waitingPrefix is put before the topics of what waits, so that a subscriber can tell it from what is live.
const waitingPrefix = "waiting"

// backlogs are data directories of gateways in which events wait, made once and copied for each use.
type backlogs struct {
	few, many       uint64
	fewDir, manyDir string
}

// delivery measures how what has waited is delivered.
func (b *bench) delivery(ctx context.Context) ([]line, error) {
	data, err := b.backlogs(ctx)
	if err != nil {
		return nil, err
	}
	direct, err := b.buildDirect(ctx)
	if err != nil {
		return nil, err
	}
	lines, err := b.drains(ctx, data, direct)
	if err != nil {
		return lines, err
	}
	for _, measure := range []func(context.Context, backlogs) (line, error){
		func(ctx context.Context, d backlogs) (line, error) { return b.liveFirst(ctx, d, 0) },
		func(ctx context.Context, d backlogs) (line, error) { return b.liveFirst(ctx, d, lineLatency) },
		func(ctx context.Context, d backlogs) (line, error) { return b.budget(ctx, d, false) },
		func(ctx context.Context, d backlogs) (line, error) { return b.budget(ctx, d, true) },
	} {
		l, err := measure(ctx, data)
		if err != nil {
			return lines, err
		}
		lines = append(lines, l)
	}
	return lines, nil
}

// backlogs lets 50,000 events and as many as the flag says wait.
func (b *bench) backlogs(ctx context.Context) (d backlogs, err error) {
	d.few, d.many = uint64(50_000/b.scale), b.backlog/uint64(b.scale)
	if d.fewDir, err = b.letWait(ctx, d.few); err != nil {
		return d, err
	}
	d.manyDir, err = b.letWait(ctx, d.many)
	return d, err
}

// letWait publishes count events to a gateway whose line is down, and stops it.
func (b *bench) letWait(ctx context.Context, count uint64) (dir string, err error) {
	down, err := faultproxy.New("127.0.0.1:9") // nothing is there
	if err != nil {
		return "", err
	}
	defer func() { _ = down.Close() }()
	down.SetDown()
	g := badline.Gateway{Program: b.gateway, Dir: b.dir, Name: b.name("gateway"), Upstream: down.Addr()}
	server, err := g.Start(ctx)
	if err != nil {
		return "", err
	}
	defer server.Kill()
	c := b.config(server.Addr, 10, 50)
	c.Count, c.Prefix = count, waitingPrefix
	if _, err := rig.RunLoad(ctx, b.load, c); err != nil {
		return "", err
	}
	b.say("  %d events wait", count)
	return filepath.Join(b.dir, g.Name), server.Stop(30 * time.Second)
}

// onCopy starts a gateway on a copy of a data directory, or on none.
func (b *bench) onCopy(ctx context.Context, dir string, g badline.Gateway) (*rig.Broker, error) {
	g.Program, g.Dir, g.Name = b.gateway, b.dir, b.name("gateway")
	if dir != "" {
		if out, err := exec.CommandContext(ctx, "cp", "-a", "--sparse=always", dir, filepath.Join(b.dir, g.Name)).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("copy %s: %w: %s", dir, err, out)
		}
	}
	return g.Start(ctx)
}

// forget deletes what a gateway leaves.
func (b *bench) forget(server *rig.Broker) {
	server.Kill()
	_ = os.RemoveAll(filepath.Join(b.dir, server.Name)) // the whole of dir is deleted at the end
}

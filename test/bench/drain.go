package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	badline "gateway/test/line"
	"gateway/test/rig"
)

// drained is one drain: from the first arrival at the upstream to the last.
type drained struct {
	rate   float64
	memory rig.Memory // peak
	twice  uint64     // arrivals of what had arrived before
	cpu    float64    // microseconds of processor an event, the start included; 0 if it was not measured
}

// drains compares how fast a gateway delivers what waits with how fast its sink publishes as many events from memory, in turn; and its
// memory meanwhile with what it takes for few events.
func (b *bench) drains(ctx context.Context, d backlogs, direct string) ([]line, error) {
	var many, few, bare []drained
	for range b.rounds {
		for _, way := range []struct {
			name string
			into *[]drained
			run  func() (drained, error)
		}{
			{"the gateway", &many, func() (drained, error) { return b.drain(ctx, d.manyDir, d.many) }},
			{"the sink alone", &bare, func() (drained, error) { return b.sinkAlone(ctx, direct, d.many) }},
			{"the gateway with few", &few, func() (drained, error) { return b.drain(ctx, d.fewDir, d.few) }},
		} {
			got, err := way.run()
			if err != nil {
				return nil, fmt.Errorf("drain by %s: %w", way.name, err)
			}
			b.say("  drain by %s: %s, %s", way.name, perSecond(got.rate), showMemory(got.memory))
			*way.into = append(*way.into, got)
		}
	}
	rateOf := func(x drained) float64 { return x.rate }
	rss := func(x drained) float64 { return float64(x.memory.RSS) }
	a, c := median(each(many, rateOf)), median(each(bare, rateOf))
	large, small := median(each(many, rss)), median(each(few, rss))
	spread := ratio(large, small)
	show := func(x drained) string { return showMemory(x.memory) }
	return []line{
		{
			load: fmt.Sprintf("drain of %d waiting, as CloudEvents", d.many), ours: perSecond(a), peer: "the sink alone, from memory " + perSecond(c),
			ratio: times(ratio(a, c)), target: fmt.Sprintf("≥ %g× the sink alone", drainLeast), verdict: verdict(ratio(a, c) >= drainLeast),
			details: []string{
				"from the first arrival at a subscriber of Mosquitto to the last, all delivered; window 1,000, batches of 2,000",
				fmt.Sprintf("this gateway %s; arrived twice %s; processor an event %.2f µs", list(each(many, rateOf), perSecond),
					list(many, func(x drained) string { return fmt.Sprint(x.twice) }), median(each(many, func(x drained) float64 { return x.cpu }))),
				"the sink alone " + list(each(bare, rateOf), perSecond),
			},
		},
		{
			load: fmt.Sprintf("memory, peak from the start to the end of a drain of %d", d.many), ours: megabytes(int64(large)), peer: fmt.Sprintf("of %d %s", d.few, megabytes(int64(small))),
			ratio: times(spread), target: fmt.Sprintf("≤ %g× of that with few", spreadMost), verdict: verdict(spread <= spreadMost),
			details: []string{"peaks " + list(many, show) + "; with few " + list(few, show)},
		},
	}, nil
}

func each[T any](values []T, of func(T) float64) (out []float64) {
	for _, v := range values {
		out = append(out, of(v))
	}
	return out
}

// drain starts a gateway on a copy of dir and waits until count events have arrived.
func (b *bench) drain(ctx context.Context, dir string, count uint64) (d drained, err error) {
	upstream, err := b.tap(ctx)
	if err != nil {
		return d, err
	}
	defer upstream.close()
	server, err := b.onCopy(ctx, dir, badline.Gateway{Upstream: upstream.addr})
	if err != nil {
		return d, err
	}
	defer b.forget(server)
	d.memory, err = b.during(ctx, server, func() error { return upstream.arrived(ctx, count) })
	if err != nil {
		return d, fmt.Errorf("%w: %s", err, server.Tail())
	}
	cpu, err := rig.CPU(server.PID())
	d.cpu = float64(cpu.Microseconds()) / float64(max(count, 1))
	return upstream.drained(d, count), err
}

func (t *tap) drained(d drained, count uint64) drained {
	d.rate = float64(count) / t.Last().Sub(t.First()).Seconds()
	d.twice = t.Received() - t.Distinct()
	return d
}

// buildDirect builds the program that publishes with the gateway's sink from memory. It is a test of this folder, because only tests
// may import what the gateway is made of.
func (b *bench) buildDirect(ctx context.Context) (string, error) {
	top, err := rig.Top()
	if err != nil {
		return "", err
	}
	out := filepath.Join(b.dir, "direct")
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-trimpath", "-ldflags", "-s -w", "-o", out, "./test/bench")
	cmd.Dir, cmd.Env = top, append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the sink alone: %w: %s", err, text)
	}
	return out, nil
}

// sinkAlone publishes count events with the sink in a process of its own.
func (b *bench) sinkAlone(ctx context.Context, direct string, count uint64) (d drained, err error) {
	upstream, err := b.tap(ctx)
	if err != nil {
		return d, err
	}
	defer upstream.close()
	cmd := exec.CommandContext(ctx, direct, "-test.run", "^TestSinkAlone$", "-test.timeout", "30m")
	cmd.Dir, cmd.Env = b.dir, append(os.Environ(), directAddr+"="+upstream.addr, directCount+"="+strconv.FormatUint(count, 10))
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return d, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	err = upstream.arrived(ctx, count)
	if err != nil {
		_ = cmd.Process.Kill() // it may have ended already
	}
	if ran := <-ended; err != nil || ran != nil {
		return d, fmt.Errorf("%w: %w: %s", err, ran, out.String())
	}
	return upstream.drained(d, count), nil
}

// How sinkAlone tells its child what to do.
const (
	directAddr  = "GATEWAY_BENCH_DIRECT_ADDR"
	directCount = "GATEWAY_BENCH_DIRECT_COUNT"
	directBatch = 2000 // events of a Send, as forwarders[].batch.max_events
)

// drainWithin is how soon a gateway on a backlog must deliver.
const drainWithin = 30 * time.Second

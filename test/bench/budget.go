package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gateway/internal/faultproxy"
	badline "gateway/test/line"
	"gateway/test/rig"
)

// carried is what a line has carried in all at a time.
type carried struct {
	at    time.Time
	bytes int64
}

// budget measures what the line carries in any ten seconds while a backlog drains under a bound. A raw event is a third of the same
// event as a CloudEvent: the bound is on bytes of the line, not on an estimate that suits one of the two.
func (b *bench) budget(ctx context.Context, d backlogs, raw bool) (line, error) {
	upstream, err := b.tap(ctx)
	if err != nil {
		return line{}, err
	}
	defer upstream.close()
	way, err := faultproxy.New(upstream.addr)
	if err != nil {
		return line{}, err
	}
	defer func() { _ = way.Close() }()
	server, err := b.onCopy(ctx, d.manyDir, badline.Gateway{Upstream: way.Addr(), BytesPerSecond: "100kB", Raw: raw})
	if err != nil {
		return line{}, err
	}
	defer b.forget(server)
	if !rig.Poll(ctx, drainWithin, func() bool { return way.Bytes(faultproxy.Up) > 0 }) {
		return line{}, errors.New("nothing was sent under a budget: " + server.Tail())
	}
	samples, err := watch(ctx, way, budgetWindow+max(2*time.Second, 5*b.duration))
	if err != nil {
		return line{}, err
	}
	if upstream.Distinct() >= d.many {
		return line{}, errors.New("the backlog ended before the measurement: let more events wait")
	}
	least, most := extremes(samples, budgetWindow)
	format := "CloudEvents"
	if raw {
		format = "raw payloads"
	}
	b.say("  budget, %s: %.1f to %.1f kB/s", format, least/1000, most/1000)
	return line{
		load: fmt.Sprintf("bytes_per_second %d, %s, what the line carries in any %s of a drain", budgetRate, format, budgetWindow),
		ours: fmt.Sprintf("%.1f to %.1f kB/s", least/1000, most/1000), target: fmt.Sprintf("%d to %d kB/s", budgetLeast/1000, budgetMost/1000),
		verdict: verdict(least >= budgetLeast && most <= budgetMost),
		details: []string{fmt.Sprintf("all bytes to the broker but TCP's own, for %s from the first on, %.1f kB/s on average; %d events arrived",
			samples[len(samples)-1].at.Sub(samples[0].at).Round(time.Second), average(samples)/1000, upstream.Distinct())},
	}, nil
}

// watch samples what the line carries to the upstream for d.
func watch(ctx context.Context, way *faultproxy.Proxy, d time.Duration) (samples []carried, err error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(d); ; {
		now := time.Now()
		samples = append(samples, carried{now, way.Bytes(faultproxy.Up)})
		if now.After(end) {
			return samples, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// extremes are the least and the most bytes a second over any stretch of samples that is as long as span, or just longer.
func extremes(samples []carried, span time.Duration) (least, most float64) {
	to := 0
	for from := range samples {
		for to < len(samples) && samples[to].at.Sub(samples[from].at) < span {
			to++
		}
		if to == len(samples) {
			return least, most
		}
		r := average(samples[from : to+1])
		if from == 0 {
			least = r
		}
		least, most = min(least, r), max(most, r)
	}
	return least, most
}

func average(samples []carried) float64 {
	first, last := samples[0], samples[len(samples)-1]
	return float64(last.bytes-first.bytes) / last.at.Sub(first.at).Seconds()
}

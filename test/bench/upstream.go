package main

import (
	"context"
	"fmt"
	"time"

	"gateway/internal/load"
	"gateway/test/rig"
)

// passage is what it took to bring events from devices to a subscriber at the upstream.
type passage struct {
	rate     float64 // events a second from the first publish to the last arrival
	intake   float64 // acknowledged a second
	repeated uint64  // arrivals of what had arrived before
}

// upstream compares device → gateway → Mosquitto with device → Mosquitto's bridge → Mosquitto. All events must arrive.
func (b *bench) upstream(ctx context.Context) ([]line, error) {
	count := uint64(300_000 / b.scale)
	var raw, structured, bridge []passage
	for range b.rounds {
		for _, way := range []struct {
			start    func(upstream string) (*rig.Broker, error)
			passages *[]passage
			name     string
		}{
			{func(up string) (*rig.Broker, error) { return b.forwarding(ctx, up, true) }, &raw, "gateway"},
			{func(up string) (*rig.Broker, error) { return b.bridging(ctx, up) }, &bridge, "bridge"},
			{func(up string) (*rig.Broker, error) { return b.forwarding(ctx, up, false) }, &structured, "gateway, CloudEvents"},
		} {
			p, err := b.pass(ctx, way.start, count)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", way.name, err)
			}
			b.say("  %s to the upstream: %s", way.name, perSecond(p.rate))
			*way.passages = append(*way.passages, p)
		}
		b.discard()
	}
	a, s, c := median(passageRates(raw)), median(passageRates(structured)), median(passageRates(bridge))
	r := ratio(a, c)
	detail := func(name string, p []passage) string {
		return fmt.Sprintf("%s: %s; acknowledged meanwhile %s; arrived twice %s", name, list(passageRates(p), perSecond),
			list(p, func(x passage) string { return perSecond(x.intake) }), list(p, func(x passage) string { return fmt.Sprint(x.repeated) }))
	}
	return []line{
		{
			load: "device to upstream", ours: perSecond(a), peer: "Mosquitto's bridge " + perSecond(c), ratio: times(r), target: "≥ 1× the bridge", verdict: verdict(r >= 1),
			details: []string{fmt.Sprintf("%d events of 10 clients × 50, all delivered, QoS 1 throughout, payloads as received", count), detail("this gateway", raw), detail("bridge", bridge)},
		},
		{
			load: "device to upstream, as CloudEvents", ours: perSecond(s), peer: "Mosquitto's bridge " + perSecond(c), ratio: times(ratio(s, c)), verdict: reported,
			details: []string{detail("this gateway, structured CloudEvents", structured)},
		},
	}, nil
}

func passageRates(p []passage) (r []float64) {
	for _, x := range p {
		r = append(r, x.rate)
	}
	return r
}

func (b *bench) forwarding(ctx context.Context, upstream string, raw bool) (*rig.Broker, error) {
	g := rig.Gateway{Program: b.gateway, Dir: b.dir, Name: b.name("gateway"), MaxSize: "16GB", Upstream: upstream, Raw: raw}
	return g.Start(ctx)
}

func (b *bench) bridging(ctx context.Context, upstream string) (*rig.Broker, error) {
	return rig.StartMosquitto(ctx, b.dir, b.name("bridge"), "",
		"connection up", "address "+upstream, "topic # out 1", "bridge_protocol_version mqttv311", "notifications false",
		"cleansession false", "restart_timeout 1", "try_private false")
}

// pass publishes count events to what start returns, and waits until a subscriber at the upstream has them all.
func (b *bench) pass(ctx context.Context, start func(string) (*rig.Broker, error), count uint64) (passage, error) {
	upstream, err := b.tap(ctx)
	if err != nil {
		return passage{}, err
	}
	defer upstream.close()
	server, err := start(upstream.addr)
	if err != nil {
		return passage{}, err
	}
	defer server.Kill()
	if err := b.warm(ctx, server.Addr, upstream); err != nil {
		return passage{}, fmt.Errorf("%w: %s", err, server.Tail())
	}
	before := upstream.Distinct()
	c := b.config(server.Addr, 10, 50)
	c.Count = count
	result, err := rig.RunLoad(ctx, b.load, c)
	if err != nil {
		return passage{}, err
	}
	if err := upstream.arrived(ctx, before+count); err != nil {
		return passage{}, fmt.Errorf("%w: %s", err, server.Tail())
	}
	took := upstream.Last().Sub(time.Unix(0, result.FirstN))
	return passage{rate: float64(count) / took.Seconds(), intake: result.PerSecond, repeated: upstream.Received() - upstream.Distinct()}, nil
}

// warm waits until a first few events have passed, so that connecting is not measured. They are of a client that the load has not.
func (b *bench) warm(ctx context.Context, addr string, upstream *tap) error {
	c := b.config(addr, 1, 1)
	c.Count, c.Prefix, c.FirstClient = 10, "warm", 9000
	if _, err := load.Run(ctx, c); err != nil {
		return err
	}
	return upstream.arrived(ctx, c.Count)
}

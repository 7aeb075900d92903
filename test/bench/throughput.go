package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"gateway/internal/load"
	"gateway/test/rig"
)

// sample is one round of one server.
type sample struct {
	load.Result
	cpu time.Duration // of the server
}

// config is the load that most rows use.
func (b *bench) config(addr string, clients, window int) load.Config {
	return load.Config{
		Addr: addr, Clients: clients, Window: window, QoS: 1, Payload: load.JSON, Size: 128, Devices: 20, Seed: 1, Prefix: "bench",
		Warmup: b.warmup, Duration: b.duration, Patience: time.Minute,
	}
}

// measure runs the load against a server that was just started, and kills it.
func (b *bench) measure(ctx context.Context, server *rig.Broker, clients, window int) (sample, error) {
	defer server.Kill()
	result, err := rig.RunLoad(ctx, b.load, b.config(server.Addr, clients, window))
	if err != nil {
		return sample{}, err
	}
	cpu, err := rig.CPU(server.PID())
	return sample{result, cpu}, err
}

// starters start each of the servers of a comparison afresh. nats is nil where NATS takes no part.
type starters struct{ ours, mosquitto, nats func() (*rig.Broker, error) }

func (b *bench) starters(ctx context.Context, withNATS bool) starters {
	s := starters{
		ours: func() (*rig.Broker, error) {
			g := rig.Gateway{Program: b.gateway, Dir: b.dir, Name: b.name("gateway"), MaxSize: "16GB"}
			return g.Start(ctx)
		},
		mosquitto: func() (*rig.Broker, error) { return rig.StartMosquitto(ctx, b.dir, b.name("mosquitto"), "") },
	}
	if withNATS && b.nats != "" {
		s.nats = func() (*rig.Broker, error) { return rig.StartNATS(ctx, b.nats, b.dir, b.name("nats")) }
	}
	return s
}

// against compares publishes a second with Mosquitto's, and with NATS's where overNATS is not 0.
func (b *bench) against(ctx context.Context, clients, window int, overMosquitto, overNATS float64) ([]line, error) {
	start := b.starters(ctx, overNATS > 0)
	var ours, mosquitto, nats []sample
	for round := range b.rounds {
		for _, peer := range []struct {
			start   func() (*rig.Broker, error)
			samples *[]sample
			name    string
		}{{start.ours, &ours, "gateway"}, {start.mosquitto, &mosquitto, "mosquitto"}, {start.nats, &nats, "nats"}} {
			if peer.start == nil {
				continue
			}
			server, err := peer.start()
			if err != nil {
				return nil, fmt.Errorf("round %d: %w", round+1, err)
			}
			s, err := b.measure(ctx, server, clients, window)
			if err != nil {
				return nil, fmt.Errorf("round %d: %s: %w", round+1, peer.name, err)
			}
			b.say("  %s %d×%d: %s", peer.name, clients, window, perSecond(s.PerSecond))
			*peer.samples = append(*peer.samples, s)
		}
		b.discard()
	}
	name := fmt.Sprintf("%d×%d", clients, window)
	lines := []line{compare(name, ours, mosquitto, "Mosquitto", overMosquitto)}
	if overNATS > 0 {
		synced := compare(name+", synced", ours, nats, "NATS", overNATS)
		sync, err := b.bareSync()
		if err != nil {
			return nil, err
		}
		synced.details = append(synced.details[1:], // ours stands above already
			fmt.Sprintf("NATS syncs once a message, and is bound by that: a bare append of 128 bytes and fsync takes %s on this disk", millis(sync)))
		lines = append(lines, synced)
	}
	return lines, nil
}

func compare(name string, ours, peer []sample, peerName string, target float64) line {
	a, c := median(rates(ours)), median(rates(peer))
	l := line{
		load: name, ours: perSecond(a), peer: peerName + " " + orDash(len(peer), "%s", perSecond(c)), ratio: times(ratio(a, c)),
		target: fmt.Sprintf("≥ %g× %s", target, peerName), verdict: verdict(ratio(a, c) >= target),
		details: []string{describe("this gateway", ours), describe(peerName, peer)},
	}
	if len(peer) == 0 {
		l.ratio, l.verdict = "–", notMeasured
	}
	return l
}

func rates(samples []sample) (r []float64) {
	for _, s := range samples {
		r = append(r, s.PerSecond)
	}
	return r
}

func describe(name string, samples []sample) string {
	var p50, p99, server, client []float64
	for _, s := range samples {
		p50, p99 = append(p50, s.P50/1000), append(p99, s.P99/1000)
		server = append(server, float64(s.cpu.Microseconds())/float64(max(s.Sent, 1)))
		client = append(client, s.CPU*1e6/float64(max(s.Sent, 1)))
	}
	return fmt.Sprintf("%s: %s; ack p50 %.2f ms, p99 %.2f ms; processor a publish %.2f µs, load program %.2f µs",
		name, list(rates(samples), perSecond), median(p50), median(p99), median(server), median(client))
}

// discard deletes what the servers of a round left.
func (b *bench) discard() { discardDirs(b.dir, filepath.Base(b.waiting)) }

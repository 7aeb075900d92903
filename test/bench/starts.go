package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gateway/internal/load/wire"
	"gateway/test/rig"
)

// startBound is how soon a gateway with a large backlog must acknowledge and deliver.
const startBound = time.Second

// started is one start: from exec to the first acknowledgement, and to the first arrival at the upstream.
type started struct {
	acked, forwarded time.Duration
	memory           rig.Memory // peak of its first second and a half
}

// starts kills and starts a gateway with a large backlog, with the line up.
func (b *bench) starts(ctx context.Context) ([]line, error) {
	many := uint64(5_000_000 / b.scale)
	if b.waiting == "" {
		_, data, err := b.waitingMemory(ctx, many)
		if err != nil {
			return nil, err
		}
		b.waiting = data
	}
	var acked, forwarded []time.Duration
	var peak rig.Memory
	for range b.rounds {
		s, err := b.start(ctx)
		if err != nil {
			return nil, err
		}
		acked, forwarded = append(acked, s.acked), append(forwarded, s.forwarded)
		peak.RSS, peak.Anon = max(peak.RSS, s.memory.RSS), max(peak.Anon, s.memory.Anon)
	}
	a, f := median(acked), median(forwarded)
	return []line{{
		load: fmt.Sprintf("start with %d waiting", many), ours: fmt.Sprintf("first ack %s, first event upstream %s", millis(a), millis(f)),
		target: "≤ 1 s", verdict: verdict(a <= startBound && f <= startBound),
		details: []string{
			"from exec after kill -9; first acks " + list(acked, millis) + "; first events upstream " + list(forwarded, millis),
			"peak memory while starting and delivering " + showMemory(peak),
		},
	}}, nil
}

// start starts the gateway on the backlog and kills it when it has acknowledged and delivered.
func (b *bench) start(ctx context.Context) (started, error) {
	upstream, err := b.tap(ctx)
	if err != nil {
		return started{}, err
	}
	defer upstream.close()
	g := rig.Gateway{Program: b.gateway, Dir: b.dir, Name: b.name("gateway"), DataDir: b.waiting, MaxSize: "16GB", Upstream: upstream.addr, Raw: true}
	server, err := g.Launch()
	if err != nil {
		return started{}, err
	}
	defer server.Kill()
	var s started
	s.memory, err = b.during(ctx, server, func() error {
		if err := server.WaitUntil(ctx, time.Minute, func() error { return publishOne(server.Addr) }); err != nil {
			return err
		}
		s.acked = time.Since(server.Started)
		if !rig.Poll(ctx, time.Minute, func() bool { return upstream.Received() > 0 }) {
			return errors.New("nothing arrived upstream within a minute of the start: " + server.Tail())
		}
		s.forwarded = upstream.First().Sub(server.Started)
		return b.settle(ctx, startBound/2)
	})
	return s, err
}

// publishOne connects, publishes one event with QoS 1 and waits for its acknowledgement.
func publishOne(addr string) error {
	conn, _, err := wire.Dial(addr, wire.Options{ClientID: "probe"}, 10*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write(wire.AppendPublish(nil, "bench/probe", 1, 1, false, []byte("9999-0000000000"))); err != nil {
		return err
	}
	first, _, err := wire.NewReader(conn, 64).Next()
	if err == nil && first != wire.Puback {
		return fmt.Errorf("want PUBACK, got packet 0x%02x", first)
	}
	return err
}

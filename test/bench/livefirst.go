package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"gateway/internal/faultproxy"
	"gateway/internal/load"
	"gateway/internal/load/wire"
	badline "gateway/test/line"
	"gateway/test/rig"
)

// liveRate is how many live events a second are paced.
const liveRate = 200

// liveFirst compares how long live events take from device to upstream while a backlog drains with how long they take without one, in
// turn. latency is what the line adds each way.
func (b *bench) liveFirst(ctx context.Context, d backlogs, latency time.Duration) (line, error) {
	var with, without []time.Duration
	for range b.rounds {
		for _, way := range []struct {
			dir  string
			into *[]time.Duration
		}{{"", &without}, {d.manyDir, &with}} {
			p99, err := b.live(ctx, way.dir, latency)
			if err != nil {
				return line{}, fmt.Errorf("live events, latency %s: %w", latency, err)
			}
			b.say("  live events, latency %s, backlog %t: p99 %s", latency, way.dir != "", millis(p99))
			*way.into = append(*way.into, p99)
		}
	}
	a, c := median(with), median(without)
	where := "loopback"
	if latency > 0 {
		where = fmt.Sprintf("a line of %s each way and 1.6 MB/s", latency)
	}
	r := ratio(float64(a), float64(c))
	return line{
		load: "live_first on " + where + ", p99 device to upstream of live events in a drain", ours: millis(a), peer: "without a backlog " + millis(c),
		ratio: times(r), target: fmt.Sprintf("≤ %g× without", liveMost), verdict: verdict(r <= liveMost),
		details: []string{fmt.Sprintf("%d live events a second; p99 of the rounds in a drain %s; without %s", liveRate, list(with, millis), list(without, millis))},
	}, nil
}

// live is the p99 from device to upstream of paced events, with what waits in dir behind them, or with nothing.
func (b *bench) live(ctx context.Context, dir string, latency time.Duration) (time.Duration, error) {
	broker, err := rig.StartMosquitto(ctx, b.dir, b.name("upstream"), "")
	if err != nil {
		return 0, err
	}
	defer broker.Kill()
	way, err := faultproxy.New(broker.Addr)
	if err != nil {
		return 0, err
	}
	defer func() { _ = way.Close() }()
	way.SetLatency(latency)
	stamps, err := newStamps(broker.Addr, "bench/#", uint64(2*b.duration.Seconds()*liveRate))
	if err != nil {
		return 0, err
	}
	defer stamps.close()
	server, err := b.onCopy(ctx, dir, badline.Gateway{Upstream: way.Addr(), CatchUp: "live_first"})
	if err != nil {
		return 0, err
	}
	defer b.forget(server)
	drains := func(n int64) bool {
		from := way.Bytes(faultproxy.Up)
		return dir == "" || rig.Poll(ctx, drainWithin, func() bool { return way.Bytes(faultproxy.Up) > from+n })
	}
	if !drains(1 << 20 / int64(b.scale)) {
		return 0, errors.New("the backlog does not drain: " + server.Tail())
	}
	if _, err := paceNoting(ctx, server.Addr, stamps.count(), liveRate, stamps.sentNow); err != nil {
		return 0, err
	}
	if dir != "" && b.scale == 1 && !drains(100_000) {
		return 0, errors.New("the backlog ended before the live events: let more events wait")
	}
	return stamps.p99(ctx)
}

// stamps are the times at which events were published and at which they arrived at a subscriber.
type stamps struct {
	conn  net.Conn
	ended chan struct{} // closed when the subscriber has ended

	mu            sync.Mutex // guards what follows
	sent, arrived []time.Time
	missing       int
}

func newStamps(addr, filter string, count uint64) (*stamps, error) {
	conn, _, err := wire.Dial(addr, wire.Options{ClientID: "stamps"}, 10*time.Second)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(wire.AppendSubscribe(nil, 1, filter, 0)); err != nil {
		conn.Close()
		return nil, err
	}
	reader := wire.NewReader(conn, 64<<10)
	if first, body, err := reader.Next(); err != nil || first != wire.Suback || body[len(body)-1] > 2 {
		conn.Close()
		return nil, fmt.Errorf("subscribe to %s at %s: packet 0x%02x % x, %w", filter, addr, first, body, err)
	}
	s := &stamps{conn: conn, ended: make(chan struct{}), sent: make([]time.Time, count), arrived: make([]time.Time, count), missing: int(count)}
	go func() {
		defer close(s.ended)
		s.collect(reader)
	}()
	return s, nil
}

func (s *stamps) close() {
	s.conn.Close()
	<-s.ended
}

func (s *stamps) count() uint64 { return uint64(len(s.sent)) }

func (s *stamps) sentNow(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent[seq] = time.Now()
}

// collect ends with the connection; p99 finds what is missing then.
func (s *stamps) collect(reader *wire.Reader) {
	for {
		first, body, err := reader.Next()
		now := time.Now()
		if err != nil {
			return
		}
		if first&0xf0 != wire.Publish {
			continue
		}
		m, err := wire.ParsePublish(first, body)
		if err != nil {
			return
		}
		if _, seq, err := load.Identity(m.Payload); err == nil {
			s.arrivedAt(seq, now)
		}
	}
}

func (s *stamps) arrivedAt(seq uint64, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seq < uint64(len(s.arrived)) && s.arrived[seq].IsZero() {
		s.arrived[seq] = now
		s.missing--
	}
}

// p99 waits until all have arrived.
func (s *stamps) p99(ctx context.Context) (time.Duration, error) {
	complete := func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.missing == 0
	}
	if !rig.Poll(ctx, time.Minute, complete) {
		return 0, errors.Join(errors.New("live events have not arrived within a minute"), ctx.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	took := make([]time.Duration, len(s.sent))
	for i := range took {
		took[i] = s.arrived[i].Sub(s.sent[i])
	}
	slices.Sort(took)
	return took[len(took)*99/100], nil
}

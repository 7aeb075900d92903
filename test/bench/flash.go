package main

import (
	"context"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"gateway/internal/load"
	"gateway/test/rig"
)

// flashBound is how many bytes may go to the device for a byte of payload.
const flashBound = 0.8

// wear is what a load cost the disk.
type wear struct {
	load.Result
	written, disk int64
	device        int64 // what everybody wrote meanwhile, and the filesystem's journal
	seconds       float64
}

func (w *wear) perByte() float64 { return ratio(float64(w.written), float64(w.PayloadBytes)) }

func (w *wear) describe() string {
	return fmt.Sprintf("%d events, %s of payload, %s written, %.0f bytes an event; the device wrote %s, with the journal and what others did; acknowledged at %s, all delivered after %.1f s, then %s on disk",
		w.Sent, megabytes(int64(w.PayloadBytes)), megabytes(w.written), ratio(float64(w.written), float64(w.Sent)), megabytes(w.device), perSecond(w.PerSecond), w.seconds, megabytes(w.disk))
}

// flash measures the bytes that the gateway causes to be written, with a forwarder that delivers and the log trimmed behind it.
func (b *bench) flash(ctx context.Context) ([]line, error) {
	var lines []line
	count := uint64(2_000_000 / b.scale)
	for _, c := range []struct {
		name, payload string
		count         uint64
		rate          float64
		clients       int
	}{
		{"full load, readings", load.JSON, count, 0, 20},
		{"full load, incompressible", load.Random, count, 0, 20},
		{"20,000 a second, readings", load.JSON, count / 10, 20_000, 20},
		{"100 a second", load.JSON, uint64(1000 / min(b.scale, 10)), 100, 1},
		{"10 a second", load.JSON, uint64(100 / min(b.scale, 10)), 10, 1},
		{"1 a second", load.JSON, uint64(20 / min(b.scale, 10)), 1, 1},
	} {
		cfg := b.config("", c.clients, 25)
		cfg.Payload, cfg.Count, cfg.Rate = c.payload, c.count, c.rate
		w, err := b.wear(ctx, cfg)
		if err != nil {
			return lines, fmt.Errorf("%s: %w", c.name, err)
		}
		l := line{
			load: "bytes to the device per payload byte, " + c.name, ours: fmt.Sprintf("%.2f", w.perByte()), verdict: reported,
			details: []string{w.describe()},
		}
		if len(lines) == 0 {
			l.target, l.verdict = "≤ 0.8", verdict(w.perByte() <= flashBound)
			codec, err := b.codec(ctx)
			if err != nil {
				return lines, err
			}
			l.details = append(l.details, codec)
		}
		lines = append(lines, l)
		b.discard()
	}
	return lines, nil
}

// wear publishes to a fresh gateway, waits until all has been delivered, and reads what the kernel counted.
func (b *bench) wear(ctx context.Context, cfg load.Config) (*wear, error) {
	upstream, err := b.tap(ctx)
	if err != nil {
		return nil, err
	}
	defer upstream.close()
	server, err := b.forwarding(ctx, upstream.addr, true)
	if err != nil {
		return nil, err
	}
	defer server.Kill()
	syscall.Sync()
	device, _ := rig.DeviceWritten(b.dir) // some filesystems have no device: 0 then
	before, err := rig.Written(server.PID())
	if err != nil {
		return nil, err
	}
	cfg.Addr = server.Addr
	w := &wear{}
	if w.Result, err = rig.RunLoad(ctx, b.load, cfg); err != nil {
		return nil, err
	}
	if err := upstream.arrived(ctx, cfg.Count); err != nil {
		return nil, fmt.Errorf("%w: %s", err, server.Tail())
	}
	w.seconds = upstream.Last().Sub(time.Unix(0, w.FirstN)).Seconds()
	if err := b.settle(ctx, 3*time.Second); err != nil { // the trim behind the last cursor
		return nil, err
	}
	syscall.Sync()
	if now, err := rig.DeviceWritten(b.dir); err == nil {
		w.device = now - device
	}
	after, err := rig.Written(server.PID())
	w.written, w.disk = after-before, dirSize(filepath.Join(b.dir, server.Name))
	return w, err
}

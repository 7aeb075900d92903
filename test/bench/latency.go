package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// latency compares the median acknowledgement of one client with one publish in flight to a bare append and fsync of
// as many bytes to a file on the same filesystem, in turn.
func (b *bench) latency(ctx context.Context) ([]line, error) {
	start := b.starters(ctx, false)
	var ours, mosquitto []sample
	var acks, bare []time.Duration
	for round := range b.rounds {
		d, err := b.bareSync()
		if err != nil {
			return nil, err
		}
		bare = append(bare, d)
		server, err := start.ours()
		if err != nil {
			return nil, err
		}
		s, err := b.measure(ctx, server, 1, 1)
		if err != nil {
			return nil, fmt.Errorf("round %d: %w", round+1, err)
		}
		ours, acks = append(ours, s), append(acks, time.Duration(s.P50*float64(time.Microsecond)))
		if server, err = start.mosquitto(); err != nil {
			b.say("  without Mosquitto: %v", err)
			continue
		}
		if s, err = b.measure(ctx, server, 1, 1); err != nil {
			return nil, err
		}
		mosquitto = append(mosquitto, s)
		b.discard()
	}
	a, c := median(acks), median(bare)
	r := ratio(float64(a), float64(c))
	return []line{{
		load: "1×1, median ack", ours: millis(a), peer: "append and fsync " + millis(c), ratio: times(r), target: "≤ 1.3× append and fsync",
		verdict: verdict(r <= 1.3),
		details: []string{
			describe("this gateway", ours), describe("Mosquitto, which syncs nothing", mosquitto),
			"median acks " + list(acks, millis) + "; bare appends with fsync " + list(bare, millis),
		},
	}}, nil
}

// bareSync is the median time of an append of 128 bytes and its fsync.
func (b *bench) bareSync() (time.Duration, error) {
	f, err := os.Create(filepath.Join(b.dir, "bare"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	payload := make([]byte, 128)
	var took []time.Duration
	for end := time.Now().Add(b.duration); time.Now().Before(end); {
		t := time.Now()
		if _, err := f.Write(payload); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		took = append(took, time.Since(t))
	}
	return median(took), os.Remove(f.Name())
}

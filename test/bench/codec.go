package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gateway"
	"gateway/buffer"
	"gateway/internal/load"
)

// codec is what the log makes of readings before the engine has them: bytes of blocks for a byte of payload, where as many
// events are in flight as the load of the flash row has, and in groups as full as they get.
func (b *bench) codec(ctx context.Context) (string, error) {
	busy, err := b.blockRatio(ctx, 0, 20*25)
	if err != nil {
		return "", err
	}
	full, err := b.blockRatio(ctx, time.Minute, 100_000)
	return fmt.Sprintf("the codec leaves %.2f bytes of block for a byte of readings with 500 in flight, %.2f in full groups; the rest is the engine's log, tables and merging", busy, full), err
}

// blockRatio appends readings of 20 devices to a log of its own.
func (b *bench) blockRatio(ctx context.Context, interval time.Duration, inFlight int) (float64, error) {
	dir := filepath.Join(b.dir, b.name("codec"))
	defer func() { _ = os.RemoveAll(dir) }()
	l, err := buffer.Open(buffer.Options{Dir: dir, CommitInterval: interval})
	if err != nil {
		return 0, err
	}
	const devices = 20
	var readings [devices]*load.Readings
	for i := range readings {
		readings[i] = load.NewReadings(i, devices, devices, 128, 1)
	}
	slots := make(chan struct{}, inFlight)
	var data []byte
	for n := range 100_000 {
		d := n % devices
		data = readings[d].Append(data[:0], uint64(n/devices), time.Now().UnixMilli())
		slots <- struct{}{}
		err = l.Submit(ctx, gateway.Batch{Events: []gateway.Event{{
			Source: fmt.Sprintf("//bench/device-%02d", d), Type: "mqtt.publish", Subject: fmt.Sprintf("bench/%04d/reading", d),
			DataContentType: "application/json", Data: data,
		}}}, func(gateway.Offset, error) { <-slots })
		if err != nil {
			return 0, err // the directory is removed with all of the bench's
		}
	}
	if err := l.Close(); err != nil { // commits what waits
		return 0, err
	}
	s := l.Status()
	return ratio(float64(s.BlockBytes), float64(s.PayloadBytes)), nil
}

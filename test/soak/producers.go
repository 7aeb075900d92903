package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"gateway"
	"gateway/buffer"
	"gateway/internal/load"
)

const (
	producers = 10
	// perAppend is how many events one Append takes: about what a device has in flight.
	perAppend = 50
	// again is how long a producer waits when the log was full.
	again = 10 * time.Millisecond
)

// intake appends as fast as the log takes it. What it says is safe to read at any time.
type intake struct {
	log     *buffer.Log
	seed    uint64
	started time.Time

	acked   [producers]atomic.Uint64 // events, which is also the sequence of the next
	bytes   atomic.Uint64            // of payload, acknowledged
	refused atomic.Uint64            // calls of Append that found the log full

	mu      sync.Mutex
	windows []histogram // of Append's time, a window each
}

// window is the width of the windows in which the times of Append are kept.
const window = 5 * time.Second

func newIntake(l *buffer.Log, seed uint64, length time.Duration) *intake {
	return &intake{log: l, seed: seed, started: time.Now(), windows: make([]histogram, int(length/window)+2)}
}

// total is how many events were acknowledged.
func (p *intake) total() (n uint64) {
	for i := range p.acked {
		n += p.acked[i].Load()
	}
	return n
}

// run appends until stop is closed. What was begun is finished, so that acknowledged and durable are the same.
func (p *intake) run(ctx context.Context, stop <-chan struct{}) error {
	var group sync.WaitGroup
	errs := make([]error, producers)
	for i := range producers {
		group.Go(func() { errs[i] = p.produce(ctx, i, stop) })
	}
	group.Wait()
	return errors.Join(errs...)
}

func (p *intake) produce(ctx context.Context, number int, stop <-chan struct{}) error {
	readings := load.NewReadings(number, producers, 20, 128, p.seed)
	batch := make([]gateway.Event, perAppend)
	for i := range batch {
		batch[i] = gateway.Event{
			Source: fmt.Sprintf("//soak/device-%d", number), Type: "mqtt.publish", Subject: fmt.Sprintf("soak/%d/reading", number),
			DataContentType: "application/json",
		}
	}
	for seq := uint64(0); ; seq += perAppend {
		bytes, milli := 0, time.Now().UnixMilli()
		for i := range batch {
			batch[i].Data = readings.Append(batch[i].Data[:0], seq+uint64(i), milli)
			bytes += len(batch[i].Data)
		}
		ok, err := p.append(ctx, batch, stop)
		if !ok || err != nil {
			return err
		}
		p.acked[number].Add(perAppend)
		p.bytes.Add(uint64(bytes))
	}
}

// append appends batch, again while the log is full; false when stop came first.
func (p *intake) append(ctx context.Context, batch []gateway.Event, stop <-chan struct{}) (bool, error) {
	for {
		select {
		case <-stop:
			return false, nil
		default:
		}
		begun := time.Now()
		_, err := p.log.Append(ctx, batch...)
		if err == nil {
			p.took(begun, time.Since(begun))
			return true, nil
		}
		if !errors.Is(err, gateway.ErrFull) {
			return false, fmt.Errorf("append: %w", err)
		}
		p.refused.Add(1)
		if !pause(stop, again) {
			return false, nil
		}
	}
}

func (p *intake) took(begun time.Time, d time.Duration) {
	i := min(int(begun.Sub(p.started)/window), len(p.windows)-1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.windows[i].add(d)
}

// p99 is the 99th percentile of what was begun from one moment to another, in whole windows, both since the start.
func (p *intake) p99(from, to time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all histogram
	for i := range p.windows {
		if begin := time.Duration(i) * window; begin >= from && begin+window <= to {
			all.merge(&p.windows[i])
		}
	}
	return all.quantile(0.99)
}

// pause waits for d, and says whether stop did not come first.
func pause(stop <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-stop:
		return false
	case <-timer.C:
		return true
	}
}

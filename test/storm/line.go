package storm

import (
	"context"
	"math/rand/v2"
	"time"

	"gateway/internal/faultproxy"
)

// weather does to the line what a bad one does, until stop is closed or ctx ends, and then mends it.
func weather(ctx context.Context, stop <-chan struct{}, line *faultproxy.Proxy, rng *rand.Rand) {
	defer func() {
		line.Release()
		line.SetUp()
		line.Cut(faultproxy.Reset) // also what is silent
	}()
	for {
		change(line, rng)
		timer := time.NewTimer(time.Duration(50+rng.IntN(400)) * time.Millisecond)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-stop:
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// change is up as often as all the bad things together.
func change(line *faultproxy.Proxy, rng *rand.Rand) {
	switch rng.IntN(10) {
	case 0:
		line.SetDown()
	case 1:
		line.Cut(faultproxy.Reset)
	case 2:
		line.Cut(faultproxy.Close)
	case 3:
		line.Cut(faultproxy.Silence)
	case 4:
		line.Hold()
	default:
		line.Release()
		line.SetUp()
	}
}

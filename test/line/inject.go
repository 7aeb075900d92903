package line

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"gateway/internal/faultproxy"
	"gateway/test/rig"
)

const (
	// patience is how long an effect may take before a run is given up.
	patience = 40 * time.Second
	// ackTimeout is sink.ack_timeout of the gateways here: how soon a silent line is to be noticed.
	ackTimeout = time.Second
	// noticeWithin is how long after a line fell silent the gateway must be back on a new connection.
	noticeWithin = ackTimeout + 2*time.Second
	// greetingWithin is the same for a line that falls silent before CONNACK: the sink's ConnectTimeout, which has no key, and some.
	greetingWithin = 12 * time.Second
)

// injector does faults to a line on which events flow, one after the other.
type injector struct {
	line   *faultproxy.Proxy
	ledger *ledger
	rng    *rand.Rand
	// took is by when silence was noticed, greeted the same before CONNACK.
	took, greeted []time.Duration
}

// inject does f, mends the line, and waits until something new has arrived behind it.
func (i *injector) inject(ctx context.Context, f fault) error {
	var err error
	switch {
	case f.cut:
		err = i.cut(ctx, f)
	case f.kind == kindLatency:
		i.line.SetLatency(time.Duration(1+i.rng.IntN(40)) * time.Millisecond)
		err = i.endWorse(ctx)
		i.line.SetLatency(0)
	case f.kind == kindBandwidth:
		i.line.SetBandwidth(4_000 + i.rng.IntN(60_000))
		err = i.endWorse(ctx)
		i.line.SetBandwidth(0)
	case f.kind == kindHold: // shorter than ackTimeout, or longer
		i.line.Hold()
		err = wait(ctx, time.Duration(50+i.rng.IntN(1500))*time.Millisecond)
		i.line.Release()
	case f.kind == kindOutage:
		i.line.SetDown()
		err = wait(ctx, time.Duration(50+i.rng.IntN(1500))*time.Millisecond)
		i.line.SetUp()
	default:
		err = fmt.Errorf("there is no fault %q", f.kind)
	}
	if err == nil {
		err = i.progress(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f, err)
	}
	return nil
}

// endWorse lets a slow line last, and resets it at the end in one case of two.
func (i *injector) endWorse(ctx context.Context) error {
	err := wait(ctx, time.Duration(100+i.rng.IntN(600))*time.Millisecond)
	if i.rng.IntN(2) == 0 {
		i.line.Cut(faultproxy.Reset)
	}
	return err
}

// cut cuts where f says and waits for a new connection.
func (i *injector) cut(ctx context.Context, f fault) error {
	var fired <-chan struct{}
	lost := i.line.Opened() // the last connection that will be gone
	if f.fresh {
		lost++
		fired = i.line.CutNextAfterBytes(f.d, f.at, f.how)
		i.line.Cut(faultproxy.Reset)
	} else {
		fired = i.line.CutAfterBytes(f.d, f.at, f.how)
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-fired:
	case <-timer.C:
		return errors.New("so many bytes have not passed")
	case <-ctx.Done():
		return ctx.Err()
	}
	start := time.Now()
	if !rig.Poll(ctx, patience, func() bool { return i.line.Opened() > lost }) {
		return errors.Join(fmt.Errorf("no new connection within %s", patience), ctx.Err())
	}
	switch took := time.Since(start); {
	case f.greeting:
		i.greeted = append(i.greeted, took)
	case f.how == faultproxy.Silence:
		i.took = append(i.took, took)
	}
	return nil
}

// progress waits until something new arrives.
func (i *injector) progress(ctx context.Context) error {
	before := i.ledger.snapshot().Arrived
	if !rig.Poll(ctx, patience, func() bool { return i.ledger.snapshot().Arrived > before }) {
		return errors.Join(fmt.Errorf("nothing new arrived within %s of the line being mended", patience), ctx.Err())
	}
	return nil
}

// wait returns after d, or ctx's error.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

package demo

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gateway"
)

func TestDemoOfTheRealGateway(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	var dir string
	start := func(ctx context.Context, dataDir, listen, upstreamURL string) (Gateway, error) {
		dir = dataDir
		return startReal(ctx, dataDir, listen, upstreamURL)
	}
	ledger, err := Run(t.Context(), Options{StartGateway: start, Out: &out, For: 5 * time.Second, Rate: 40, Seed: 11, Pace: 500 * time.Millisecond})
	t.Logf("\n%s\n%s", out.String(), ledger)
	if err != nil {
		t.Fatal(err)
	}
	if !ledger.OK() {
		t.Errorf("got %s", ledger.Verdict())
	}
	if total := ledger.Total(); total.Acknowledged < 250 || len(ledger.Accounts) != 5 {
		t.Errorf("got %d readings of %d sensors acknowledged, want about 1000 of 5", total.Acknowledged, len(ledger.Accounts))
	}
	for _, a := range ledger.Accounts {
		if a.Acknowledged != a.Sent {
			t.Errorf("%s: %d of %d readings were acknowledged, want all: the sensors wait for it", a.Sensor, a.Acknowledged, a.Sent)
		}
	}
	if ledger.Cuts[lineCut] == 0 || ledger.Cuts[lineReset] == 0 {
		t.Errorf("got the cuts %v, want the line to be cut, and reset", ledger.Cuts)
	}
	if lines := strings.Count(out.String(), "\n"); lines < 4 || strings.Contains(out.String(), "\x1b") {
		t.Errorf("got %d lines, want one a second, without ANSI sequences", lines)
	}
	if _, err := os.Stat(dir); dir == "" || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data directory %q is left behind: %v", dir, err)
	}
}

// liar is a sink that does not deliver what it says it delivers.
type liar struct {
	gateway.Sink
	mangle func([]gateway.Entry) []gateway.Entry
}

func (l *liar) Send(ctx context.Context, batch []gateway.Entry) error {
	if batch = l.mangle(batch); len(batch) == 0 {
		return nil
	}
	return l.Sink.Send(ctx, batch)
}

// A gateway that breaks its promise, in each way, does not pass.
func TestDemoCatchesAGatewayThatLies(t *testing.T) {
	t.Parallel()
	var late []gateway.Entry
	tests := map[string]struct {
		mangle func([]gateway.Entry) []gateway.Entry
		fault  func(Account) int
	}{
		"loses": {func(batch []gateway.Entry) (out []gateway.Entry) {
			for _, e := range batch {
				if e.Offset%20 != 0 {
					out = append(out, e)
				}
			}
			return out
		}, func(a Account) int { return a.Lost }},
		"delivers twice": {func(batch []gateway.Entry) (out []gateway.Entry) {
			for _, e := range batch {
				out = append(out, e)
				if e.Offset%20 == 0 {
					e.Event.ID += "-again"
					out = append(out, e)
				}
			}
			return out
		}, func(a Account) int { return a.Duplicates }},
		"delivers late": {func(batch []gateway.Entry) (out []gateway.Entry) {
			for _, e := range batch {
				if e.Offset%20 == 0 && e.Offset < 100 {
					late = append(late, e)
					continue
				}
				out = append(out, e)
				if e.Offset > 120 {
					out, late = append(out, late...), nil
				}
			}
			return out
		}, func(a Account) int { return a.OutOfOrder }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := func(ctx context.Context, dataDir, listen, upstreamURL string) (Gateway, error) {
				return startWired(ctx, dataDir, listen, upstreamURL, func(s gateway.Sink) gateway.Sink { return &liar{s, tt.mangle} })
			}
			ledger, err := Run(t.Context(), Options{
				StartGateway: start, For: 2 * time.Second, Rate: 40, Seed: 1, Pace: time.Hour, Drain: 500 * time.Millisecond, DataDir: t.TempDir(),
			})
			if err != nil {
				t.Fatal(err)
			}
			if n := tt.fault(ledger.Total()); n == 0 || ledger.OK() {
				t.Errorf("a gateway that %s passed:\n%s", name, ledger)
			}
		})
	}
}

func TestDemoEndsWithItsContextAndDrains(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var delivered atomic.Int64
	watch := func(batch []gateway.Entry) []gateway.Entry {
		if delivered.Add(int64(len(batch))) > 50 {
			cancel()
		}
		return batch
	}
	start := func(ctx context.Context, dataDir, listen, upstreamURL string) (Gateway, error) {
		return startWired(ctx, dataDir, listen, upstreamURL, func(s gateway.Sink) gateway.Sink { return &liar{s, watch} })
	}
	ledger, err := Run(ctx, Options{StartGateway: start, Rate: 50, Seed: 3, DataDir: t.TempDir()})
	if err != nil || !ledger.OK() || ledger.Total().Acknowledged < 50 {
		t.Errorf("error %v, got\n%s", err, ledger)
	}
}

// refuser is a sink that takes a few events and no more.
type refuser struct{ gateway.Sink }

func (r *refuser) Send(ctx context.Context, batch []gateway.Entry) error {
	if batch[0].Offset > 20 {
		return errors.New("no more")
	}
	return r.Sink.Send(ctx, batch)
}

func TestDemoSaysWhatStillWaitsWhenItsDrainIsCutShort(t *testing.T) {
	t.Parallel()
	start := func(ctx context.Context, dataDir, listen, upstreamURL string) (Gateway, error) {
		return startWired(ctx, dataDir, listen, upstreamURL, func(s gateway.Sink) gateway.Sink { return &refuser{s} })
	}
	abort := make(chan struct{})
	close(abort)
	for name, o := range map[string]Options{"by its bound": {Drain: 200 * time.Millisecond}, "by a second Ctrl-C": {Abort: abort, Drain: time.Hour}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o.StartGateway, o.For, o.Rate, o.Seed, o.Pace, o.DataDir = start, time.Second, 50, 3, time.Hour, t.TempDir()
			ledger, err := Run(t.Context(), o)
			if err != nil || ledger.OK() || ledger.Waiting == 0 || ledger.Total().Lost == 0 {
				t.Errorf("error %v, %d waiting, got\n%s", err, ledger.Waiting, ledger)
			}
		})
	}
}

func TestDemoSaysWhyItCannotStart(t *testing.T) {
	t.Parallel()
	broken := errors.New("no such gateway")
	var dir string
	start := func(_ context.Context, dataDir, _, _ string) (Gateway, error) {
		dir = dataDir
		return nil, broken
	}
	if _, err := Run(t.Context(), Options{StartGateway: start}); !errors.Is(err, broken) {
		t.Errorf("got %v, want the error of StartGateway", err)
	}
	if _, err := os.Stat(dir); dir == "" || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data directory %q is left behind: %v", dir, err)
	}
	if _, err := Run(t.Context(), Options{}); err == nil {
		t.Error("a demo without a gateway started")
	}
}

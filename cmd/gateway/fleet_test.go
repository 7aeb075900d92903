package main

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"testing"
	"time"

	"gateway"
	"gateway/buffer"
	"gateway/configs"
	"gateway/forwarder"
	"gateway/internal/gatewaytest"
)

// fleetPlan is a plan of a forwarder with a sink in memory; fails is why it cannot be made.
func fleetPlan(name, renamedFrom string, sink *gatewaytest.FakeSink, fails error) forwarderPlan {
	o := forwarder.Default()
	o.Name, o.RenamedFrom, o.ID = name, renamedFrom, "t"
	return forwarderPlan{
		config: configs.Forwarder{Name: name, RenamedFrom: renamedFrom}, options: o,
		openSink: func(*slog.Logger, parts) (gateway.Sink, error) { return unclosed{sink}, fails },
	}
}

// unclosed is a sink that can be opened once more.
type unclosed struct{ *gatewaytest.FakeSink }

func (unclosed) Close() error { return nil }

func testFleet(t *testing.T) *fleet {
	t.Helper()
	log, err := buffer.Open(buffer.Options{Dir: t.TempDir(), Source: "//t/log", MaxSize: 64 << 20, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{log: log, logger: slog.New(slog.DiscardHandler), part: func(ctx context.Context, _ string, run func(context.Context) error) error { return run(ctx) }}
	ctx, stop := context.WithCancel(context.Background())
	f.start(ctx)
	t.Cleanup(func() {
		stop()
		if err := errors.Join(f.wait(), f.close(), log.Close()); err != nil {
			t.Error(err)
		}
	})
	return f
}

// TestARenameThatFailsLeavesTheOldOneRunning: and the next one that works takes its place over.
func TestARenameThatFailsLeavesTheOldOneRunning(t *testing.T) {
	t.Parallel()
	f := testFleet(t)
	old, renamed := &gatewaytest.FakeSink{}, &gatewaytest.FakeSink{}
	if _, err := f.change([]forwarderPlan{fleetPlan("old", "", old, nil)}); err != nil {
		t.Fatal(err)
	}
	r, err := f.change([]forwarderPlan{fleetPlan("new", "old", renamed, errors.New("no such certificate"))})
	if err == nil || len(r.Removed) > 0 || len(r.Added) > 0 {
		t.Errorf("got %+v and %v, want an error and no change", r, err)
	}
	if f.named("old") == nil {
		t.Fatal("the old one is not there")
	}
	if _, err := f.log.Append(t.Context(), gateway.Event{Source: "//t", Type: "t"}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); len(old.Delivered()) == 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("the old one does not run")
		}
	}
	r, err = f.change([]forwarderPlan{fleetPlan("new", "old", renamed, nil)})
	if err != nil || len(r.Removed)+len(r.Added) > 0 || !slices.Equal(r.Changed, []string{"new, which was old"}) {
		t.Errorf("got %+v and %v, want the rename", r, err)
	}
	if len(placesOf(f.log, "old")) > 0 || len(placesOf(f.log, "new")) == 0 {
		t.Errorf("the places are %v", f.log.Status().Cursors)
	}
}

// TestForgettingIsOneWrite: a forwarder that comes back after it was forgotten remembers nothing.
func TestForgettingIsOneWrite(t *testing.T) {
	t.Parallel()
	f := testFleet(t)
	p := fleetPlan("up", "", &gatewaytest.FakeSink{}, nil)
	p.options.Routes = []forwarder.Route{{Match: []string{"a/#"}}}
	if _, err := f.change([]forwarderPlan{p}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.change(nil); err != nil {
		t.Fatal(err)
	}
	commits := f.log.Status().Commits
	if err := f.forget(t.Context(), "up"); err != nil {
		t.Fatal(err)
	}
	if got := f.log.Status().Commits - commits; got != 1 {
		t.Errorf("%d commits, want one", got)
	}
	left := 0
	if err := f.log.Scan("routes/up", func(string, []byte) error { left++; return nil }); err != nil || left > 0 || len(placesOf(f.log, "up")) > 0 {
		t.Errorf("%d memories (%v) and the places %v are left", left, err, f.log.Status().Cursors)
	}
}

package main

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"gateway"
)

// fakeCanaryLog counts what the watchdog writes.
type fakeCanaryLog struct {
	commits uint64
	writes  int
	commit  func(ctx context.Context) error
}

func (f *fakeCanaryLog) Status() gateway.LogStatus { return gateway.LogStatus{Commits: f.commits} }

func (f *fakeCanaryLog) Commit(ctx context.Context, b gateway.Batch) (gateway.Offset, error) {
	if len(b.Events) > 0 || len(b.KV) != 1 {
		return 0, errors.New("the canary is one key and no event")
	}
	f.writes++
	if f.commit != nil {
		if err := f.commit(ctx); err != nil {
			return 0, err
		}
	}
	f.commits++
	return 0, nil
}

func newTestWatchdog(log *fakeCanaryLog, route func(context.Context) error) *watchdog {
	return &watchdog{limit: time.Minute, logger: slog.New(slog.DiscardHandler), log: log, route: route}
}

func routes(context.Context) error { return nil }

func TestWatchdogWritesOnlyWhereNobodyElseDid(t *testing.T) {
	t.Parallel()
	log := &fakeCanaryLog{}
	w := newTestWatchdog(log, routes)
	for i, step := range []struct{ others, writes int }{{0, 1}, {3, 1}, {0, 2}, {1, 2}, {0, 3}} {
		log.commits += uint64(step.others)
		if err := w.progress(t.Context()); err != nil {
			t.Fatal(err)
		}
		if log.writes != step.writes {
			t.Errorf("step %d: got %d writes, want %d", i, log.writes, step.writes)
		}
	}
}

func TestWatchdogSeesWhatHangs(t *testing.T) {
	t.Parallel()
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for name, c := range map[string]struct {
		commit, route func(context.Context) error
		ok            bool
	}{
		"well":            {route: routes, ok: true},
		"full":            {commit: func(context.Context) error { return gateway.ErrFull }, route: routes, ok: true},
		"the log fails":   {commit: func(context.Context) error { return errors.New("disk") }, route: routes},
		"the log hangs":   {commit: hang, route: routes},
		"routing hangs":   {route: hang},
		"routing refuses": {route: func(context.Context) error { return errors.New("stuck") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newTestWatchdog(&fakeCanaryLog{commit: c.commit}, c.route)
				start := time.Now()
				if err := w.progress(t.Context()); (err == nil) != c.ok {
					t.Errorf("got %v, want progress %v", err, c.ok)
				}
				if took := time.Since(start); took > w.limit {
					t.Errorf("it took %s, more than the limit", took)
				}
			})
		})
	}
}

func TestWatchdogIsForThisProcessOnly(t *testing.T) {
	t.Parallel()
	env := map[string]string{"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "7"}
	get := func(k string) string { return env[k] }
	g := &instance{logger: slog.New(slog.DiscardHandler)}
	if w := newWatchdog(get, 8, &notifier{}, g); w != nil {
		t.Error("another process was meant")
	}
	for _, usec := range []string{"", "0", "-5", "soon"} {
		env["WATCHDOG_USEC"] = usec
		if w := newWatchdog(get, 7, &notifier{}, g); w != nil {
			t.Errorf("WATCHDOG_USEC=%q: got a watchdog", usec)
		}
	}
}

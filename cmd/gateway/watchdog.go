package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"gateway"
)

// watchdog pings systemd only while the gateway makes progress: the log commits, and the broker routes. When it stops
// pinging, systemd restarts the service (WatchdogSec= in the unit).
type watchdog struct {
	limit  time.Duration // without a ping for so long, systemd acts
	notify *notifier
	logger *slog.Logger
	log    canaryLog
	route  func(ctx context.Context) error
	// commits is the counter of the log at the last ping: as long as it rises by itself, the canary writes nothing.
	commits uint64
	sick    bool
}

// canaryLog is what the watchdog needs of the log.
type canaryLog interface {
	Status() gateway.LogStatus
	Commit(ctx context.Context, b gateway.Batch) (gateway.Offset, error)
}

// canaryKey is where the canary writes.
const canaryKey = "watchdog/canary"

// newWatchdog makes the watchdog that systemd asks for; nil if it does not.
func newWatchdog(getenv func(string) string, pid int, notify *notifier, g *instance) *watchdog {
	usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || usec <= 0 || notify == nil {
		return nil
	}
	if whose := getenv("WATCHDOG_PID"); whose != "" && whose != strconv.Itoa(pid) {
		return nil
	}
	return &watchdog{
		limit: time.Duration(usec) * time.Microsecond, notify: notify, logger: g.logger,
		log: g.log, route: g.broker.Canary,
	}
}

// run pings until ctx ends.
func (w *watchdog) run(ctx context.Context) {
	w.commits = w.log.Status().Commits
	tick := time.NewTicker(w.limit / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.beat(ctx)
		}
	}
}

func (w *watchdog) beat(ctx context.Context) {
	err := w.progress(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil && !w.sick:
		w.sick = true
		w.logger.Error("no progress: systemd will restart the gateway if this goes on", "error", err, "limit", w.limit)
	case err == nil:
		if w.sick {
			w.logger.Info("progress again")
		}
		w.sick = false
		w.notify.send("WATCHDOG=1")
	}
}

// progress returns nil if the log has committed something since the last time, or does now, and the broker routes.
// A commit of its own costs about 5 KB of flash, so it makes one only where nobody else did.
func (w *watchdog) progress(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, w.limit)
	defer cancel()
	if w.log.Status().Commits == w.commits {
		beat := gateway.Batch{KV: []gateway.KeyValue{{Key: canaryKey, Value: []byte{1}}}}
		// A full log refuses events, but works.
		if _, err := w.log.Commit(ctx, beat); err != nil && !errors.Is(err, gateway.ErrFull) {
			return fmt.Errorf("the log does not commit: %w", err)
		}
	}
	w.commits = w.log.Status().Commits
	return w.route(ctx)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"gateway/internal/load"
	"gateway/test/rig"
)

// system is something that keeps events on the disk, with one setting.
type system struct {
	name, setting string
	cut           string        // what a power cut costs at most
	interval      time.Duration // at which it commits, 0 for each event
	start         func(ctx context.Context, b *bench, s *system, down bool) (*target, error)
}

// systems are what the row wear compares.
func systems() []system {
	nothing := "nothing that was acknowledged"
	wait := func(d string) string {
		return nothing + "; QoS 0 of up to " + d + "; devices wait as long for an acknowledgement"
	}
	return []system{
		{"this gateway", "commit_interval 0s", nothing, 0, startOurs},
		{"this gateway", "commit_interval 1s", wait("1 s"), time.Second, startOurs},
		{"this gateway", "commit_interval 10s", wait("10 s"), 10 * time.Second, startOurs},
		{"Mosquitto", "persistence, autosave_interval 1800 (its default)", "30 minutes of what was acknowledged", mosquittoDefault, startSaving},
		{"Mosquitto", "persistence, autosave_interval 1", "1 s of what was acknowledged", time.Second, startSaving},
		{"NATS", "JetStream file store, sync_interval 2m (its default)", "2 minutes of what was acknowledged", natsDefault, startJetStream},
		{"NATS", "JetStream file store, sync_interval always", nothing, 0, startJetStream},
		{"SQLite", "WAL, synchronous FULL, a transaction an event", "nothing that was committed", 0, startFull},
		{"SQLite", "WAL, synchronous FULL, a transaction a second", "what waits for its transaction: 1 s", time.Second, startFull},
		{"SQLite", "WAL, synchronous FULL, a transaction every 10 s", "what waits for its transaction: 10 s", 10 * time.Second, startFull},
		{"SQLite", "WAL, synchronous NORMAL, a transaction an event", "what was committed since the last checkpoint (1,000 pages)", 0, startNormal},
		{"SQLite", "WAL, synchronous NORMAL, a transaction a second", "what was committed since the last checkpoint (1,000 pages)", time.Second, startNormal},
		{"SQLite", "WAL, synchronous NORMAL, a transaction every 10 s", "what was committed since the last checkpoint (1,000 pages)", 10 * time.Second, startNormal},
	}
}

const (
	mosquittoDefault = 1800 * time.Second
	natsDefault      = 2 * time.Minute
)

// errMissing says that a peer could not be had; it was named when the program began.
var errMissing = errors.New("it was not built")

// missing says that a peer is not on this machine.
func missing(err error) bool { return errors.Is(err, errMissing) || errors.Is(err, exec.ErrNotFound) }

// target is a started system.
type target struct {
	pid     int
	publish func(ctx context.Context, count uint64, rate float64) (load.Result, error)
	// extra is what will be written for the load of the given time, but was not yet; nil: nothing.
	extra func(ctx context.Context, took time.Duration) (int64, error)
	stop  func()
}

// mqttTarget is published to by one device.
func mqttTarget(server *rig.Broker, stop func()) *target {
	return &target{
		pid: server.PID(), stop: stop,
		publish: func(ctx context.Context, count uint64, rate float64) (load.Result, error) {
			return pace(ctx, server.Addr, count, rate)
		},
	}
}

// startOurs starts the gateway with a forwarder whose upstream takes everything, or is not there.
func startOurs(ctx context.Context, b *bench, s *system, down bool) (*target, error) {
	g := rig.Gateway{Program: b.gateway, Dir: b.dir, Name: b.name("gateway"), CommitInterval: s.interval, Raw: true, Upstream: "127.0.0.1:9"}
	upstream := func() {}
	if !down {
		t, err := b.tap(ctx)
		if err != nil {
			return nil, err
		}
		g.Upstream, upstream = t.addr, t.close
	}
	server, err := g.Start(ctx)
	if err != nil {
		upstream()
		return nil, err
	}
	return mqttTarget(server, func() {
		server.Kill()
		upstream()
	}), nil
}

// startSaving starts a Mosquitto that saves its store, with one subscriber whose session it keeps.
func startSaving(ctx context.Context, b *bench, s *system, down bool) (*target, error) {
	name := b.name("mosquitto-saving")
	dir := filepath.Join(b.dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	server, err := rig.StartMosquitto(ctx, b.dir, name, "", "persistence true", "persistence_location "+dir+"/",
		fmt.Sprintf("autosave_interval %d", int(s.interval.Seconds())))
	if err != nil {
		return nil, err
	}
	t, err := subscribed(ctx, server, down)
	if err == nil && s.interval == mosquittoDefault {
		t.extra = func(ctx context.Context, took time.Duration) (int64, error) {
			return oneSave(ctx, t.pid, dir, took, down)
		}
	}
	return t, err
}

// oneSave has Mosquitto save now, and returns the share of that which a load of the given time has in one save in half an hour.
// While nobody takes the events the store has all of them, and so does the save.
func oneSave(ctx context.Context, pid int, dir string, took time.Duration, down bool) (int64, error) {
	before, err := rig.Written(pid)
	if err != nil {
		return 0, err
	}
	if err := syscall.Kill(pid, syscall.SIGUSR1); err != nil {
		return 0, err
	}
	saved := func() bool {
		_, err := os.Stat(filepath.Join(dir, "mosquitto.db"))
		return err == nil
	}
	if !rig.Poll(ctx, 10*time.Second, saved) {
		return 0, fmt.Errorf("mosquitto did not save its store in %s within 10 s of SIGUSR1", dir)
	}
	after, err := rig.Written(pid)
	if down {
		return after - before, err
	}
	return int64(float64(after-before) * took.Seconds() / mosquittoDefault.Seconds()), err
}

// startJetStream starts a NATS server, with one subscriber whose session it keeps.
func startJetStream(ctx context.Context, b *bench, s *system, down bool) (*target, error) {
	if b.nats == "" {
		return nil, errMissing
	}
	sync := "always"
	if s.interval > 0 {
		sync = s.interval.String()
	}
	server, err := rig.StartNATSWith(ctx, b.nats, b.dir, b.name("nats"), sync)
	if err != nil {
		return nil, err
	}
	return subscribed(ctx, server, down)
}

// subscribed has a subscriber with a session that is kept: it takes everything, or has gone again.
func subscribed(ctx context.Context, server *rig.Broker, down bool) (*target, error) {
	counter, err := load.SubscribeKept(server.Addr, "counter", "bench/#", 10*time.Second)
	if err != nil {
		server.Kill()
		return nil, err
	}
	if down {
		if err := counter.Close(); err != nil {
			server.Kill()
			return nil, err
		}
		return mqttTarget(server, server.Kill), nil
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = counter.Run(ctx) // what it counts is not asked for
	}()
	return mqttTarget(server, func() {
		cancel()
		<-ended
		server.Kill()
	}), nil
}

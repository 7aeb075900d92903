package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gateway"
	"gateway/buffer"
	"gateway/devices"
)

// board is the pins, buses and probes of this machine that the configuration has. They can be changed while the gateway runs. Safe for concurrent use.
type board struct {
	id       string
	log      *buffer.Log
	logger   *slog.Logger
	part     func(ctx context.Context, name string, run func(context.Context) error) error
	hardware *devices.Hardware
	lines    devices.KernelLines
	outputs  *devices.Outputs
	notify   *notifier // keeps the lines of outputs
	// links says how the connections are that outputs depend on, once there are some.
	links atomic.Pointer[instance]

	opened time.Time
	asked  atomic.Int64 // when the clock was, since opened
	right  atomic.Bool  // what it said

	telling     chan error // gives the end of the outputs' Run
	stopTelling context.CancelFunc

	mu     sync.Mutex // guards what follows
	list   []*deviceRun
	ctx    context.Context     // of intake; nil before start and after wait
	stored map[string]*os.File // what systemd has of lines of outputs, by name
}

// deviceRun is a device that runs, but for outputs, which are together.
type deviceRun struct {
	spec devices.Spec
	d    devices.Device
	stop context.CancelFunc
	done chan error
}

// openBoard takes the lines of the outputs: from then on they are as the configuration wants them.
func openBoard(id string, specs []devices.Spec, log *buffer.Log, logger *slog.Logger, adopt map[string]*os.File, notify *notifier) (*board, error) {
	lines := devices.KernelLines{Dev: "/dev"}
	b := &board{
		id: id, log: log, logger: logger, lines: lines, notify: notify, opened: time.Now(),
		hardware: devices.NewHardware(devices.HardwareOptions{Lines: lines}), telling: make(chan error, 1), stored: map[string]*os.File{},
	}
	for name, file := range adopt {
		b.stored[name] = file
	}
	outputs, _ := splitOutputs(specs)
	var err error
	b.outputs, err = devices.NewOutputs(outputs, lines, devices.OutputOptions{
		Common: devices.Common{Gateway: id, Logger: logger.With("part", "outputs"), Synced: b.synced},
		Memory: outputMemory{log, logger}, Boot: log.Status().BootID, LinkDown: b.linkDown, Adopt: adopt,
	})
	if err != nil {
		return nil, errors.Join(err, b.hardware.Close())
	}
	b.keepLines()
	return b, nil
}

// splitOutputs are the specs of outputs, and the others.
func splitOutputs(specs []devices.Spec) (outputs, others []devices.Spec) {
	for _, s := range specs {
		if s.Type == devices.TypeOutput {
			outputs = append(outputs, s)
			continue
		}
		others = append(others, s)
	}
	return outputs, others
}

// keepLines has systemd keep the lines of the outputs that there are now, and no others. It is called again now and then: a line may have been opened anew.
func (b *board) keepLines() {
	files := b.outputs.Files()
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, had := range b.stored {
		if files[name] != had {
			b.notify.letGo(name)
			delete(b.stored, name)
		}
	}
	for name, file := range files {
		if b.stored[name] != nil {
			continue
		}
		if err := b.notify.keepFile(name, file); err != nil {
			b.logger.Warn("systemd does not keep the line of an output over a restart", "name", name, "error", err)
		}
		b.stored[name] = file
	}
}

// start runs all until the context ends; the events of outputs are told until tellNoMore.
func (b *board) start(ctx context.Context, specs []devices.Spec) error {
	telling, stop := context.WithCancel(context.Background())
	b.stopTelling = stop
	go func() {
		b.telling <- b.part(telling, "outputs", func(ctx context.Context) error {
			err := b.outputs.Run(ctx, b.log)
			if err == nil { // they were closed
				<-ctx.Done()
			}
			return err
		})
	}()
	b.mu.Lock()
	b.ctx = ctx
	b.mu.Unlock()
	_, others := splitOutputs(specs)
	_, err := b.changeRuns(others)
	return err
}

// wait returns when all but the outputs have ended, after the context of start has.
func (b *board) wait() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ctx = nil
	var errs []error
	for _, one := range b.list {
		errs = append(errs, <-one.done)
		one.stop()
	}
	b.list = nil
	return errors.Join(errs...)
}

// close puts the outputs into the state in which they are to be left, tells so, and lets all hardware go. Calling it twice is fine.
func (b *board) close() error {
	if b.stopTelling == nil { // it was not started
		return errors.Join(b.outputs.Close(true), b.hardware.Close())
	}
	err := b.outputs.Close(true)
	b.stopTelling()
	b.stopTelling = nil
	return errors.Join(err, <-b.telling, b.hardware.Close())
}

// change makes the devices those of specs. A device that stays as it is is not touched.
func (b *board) change(specs []devices.Spec) (r gateway.Reloaded, err error) {
	outputs, others := splitOutputs(specs)
	before := b.outputs.Status()
	if err := b.outputs.Change(outputs); err != nil {
		return r, fmt.Errorf("outputs: %w", err)
	}
	b.keepLines()
	for _, s := range b.outputs.Status() {
		if !slices.ContainsFunc(before, func(old gateway.DeviceStatus) bool { return old.Name == s.Name }) {
			r.Added = append(r.Added, "device "+s.Name)
		}
	}
	for _, old := range before {
		if !slices.ContainsFunc(outputs, func(s devices.Spec) bool { return s.Name == old.Name }) {
			r.Removed = append(r.Removed, "device "+old.Name)
		}
	}
	rest, err := b.changeRuns(others)
	r.Added, r.Changed, r.Removed = append(r.Added, rest.Added...), append(r.Changed, rest.Changed...), append(r.Removed, rest.Removed...)
	return r, err
}

func (b *board) changeRuns(specs []devices.Spec) (r gateway.Reloaded, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx == nil || b.ctx.Err() != nil {
		return r, gateway.ErrClosed
	}
	var errs []error
	var kept []*deviceRun
	running, changed := map[string]bool{}, map[string]bool{}
	for _, one := range b.list {
		i := slices.IndexFunc(specs, func(s devices.Spec) bool { return s.Name == one.spec.Name })
		if i >= 0 && reflect.DeepEqual(specs[i], one.spec) {
			kept = append(kept, one)
			running[one.spec.Name] = true
			continue
		}
		one.stop()
		errs = append(errs, <-one.done)
		if i < 0 {
			r.Removed = append(r.Removed, "device "+one.spec.Name)
		}
		changed[one.spec.Name] = true
	}
	for _, s := range specs {
		if running[s.Name] {
			continue
		}
		one, err := b.launch(s)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if changed[s.Name] {
			r.Changed = append(r.Changed, "device "+s.Name)
		} else {
			r.Added = append(r.Added, "device "+s.Name)
		}
		kept = append(kept, one)
	}
	b.list = kept
	return r, errors.Join(errs...)
}

// launch runs a device. b.mu is held.
func (b *board) launch(s devices.Spec) (*deviceRun, error) {
	d, err := b.open(s)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(b.ctx)
	one := &deviceRun{spec: s, d: d, stop: stop, done: make(chan error, 1)}
	go func() {
		one.done <- b.part(ctx, "device "+s.Name, func(ctx context.Context) error { return d.Run(ctx, b.log) })
	}()
	return one, nil
}

func (b *board) open(s devices.Spec) (devices.Device, error) {
	c := devices.Common{Gateway: b.id, Logger: b.logger.With("part", "device", "device", s.Name), Synced: b.synced}
	if s.Type != devices.TypeCounter {
		return openDevice(s, b.lines, b.hardware, c)
	}
	return devices.NewCounter(s, b.lines, devices.Counting{Log: counterLog{b.log}, LogID: b.log.Status().LogID, Runtime: runtimeDir(b.logger)}, c)
}

// openDevice makes a device that is neither an output nor a counter.
func openDevice(s devices.Spec, lines devices.KernelLines, hardware *devices.Hardware, c devices.Common) (devices.Device, error) {
	switch s.Type {
	case devices.TypeInput:
		return devices.NewInput(s, lines, c)
	case devices.TypeSampled:
		return devices.NewSampled(s, lines, c)
	case devices.TypeSimulated:
		return devices.NewSimulated(s, c)
	}
	return devices.NewSensor(s, hardware, c)
}

// askEvery is how often the clock is asked whether it is right.
const askEvery = time.Second

// synced says whether the wall clock is right, or was a moment ago.
func (b *board) synced() bool {
	now := time.Since(b.opened)
	if asked := b.asked.Load(); asked == 0 || now-time.Duration(asked) > askEvery {
		b.right.Store(b.log.Status().Clock.Synced)
		b.asked.Store(int64(now))
	}
	return b.right.Load()
}

// status is a snapshot of each device.
func (b *board) status() []gateway.DeviceStatus {
	b.mu.Lock()
	states := make([]gateway.DeviceStatus, 0, len(b.list))
	for _, one := range b.list {
		states = append(states, one.d.Status())
	}
	b.mu.Unlock()
	return append(states, b.outputs.Status()...)
}

// linkDown says since when a source or a forwarder has had no connection.
func (b *board) linkDown(name string) (since time.Time, down bool) {
	g := b.links.Load()
	if g == nil {
		return since, false
	}
	for _, s := range g.inflow.status() {
		if s.Name == name {
			return s.Since, s.State != "connected"
		}
	}
	for _, f := range g.fleet.status() {
		if f.Name == name {
			return f.Since, f.State == gateway.StateRetrying || f.State == gateway.StateBlocked || f.State == gateway.StateStopped
		}
	}
	return since, false
}

// runtimeDir is a folder in memory that is ours alone, for what has to outlive the process but not the machine; "" if there is none.
func runtimeDir(logger *slog.Logger) string {
	if dir := os.Getenv("RUNTIME_DIRECTORY"); dir != "" {
		return dir
	}
	dir := filepath.Join("/dev/shm", "gateway-"+strconv.Itoa(os.Getuid()))
	err := os.Mkdir(dir, 0o700)
	if err != nil && !errors.Is(err, os.ErrExist) {
		logger.Warn("there is no folder in memory, so a gateway that is killed loses the pulses of an interval", "error", err)
		return ""
	}
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 || !ownedByUs(info) {
		logger.Warn("the folder is not ours alone, so a gateway that is killed loses the pulses of an interval", "folder", dir)
		return ""
	}
	return dir
}

func ownedByUs(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid()
}

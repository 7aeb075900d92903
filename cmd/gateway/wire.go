package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"golang.org/x/sync/errgroup"

	"gateway"
	"gateway/buffer"
	"gateway/configs"
	"gateway/devices"
	"gateway/forwarder"
	"gateway/mqtt"
)

// instance is a running gateway: the log, the forwarders that empty it, and the broker that fills it, started in
// this order and stopped in the reverse. The local API is open as long as the log is.
type instance struct {
	log    *buffer.Log
	broker *mqtt.Broker
	fleet  *fleet
	inflow *springs
	board  *board
	notify *notifier
	logger *slog.Logger
	api    localAPI
	// options and config are what it was started with.
	options   runOptions
	config    *configs.Config
	reloading sync.RWMutex // held for reading by what needs the forwarders to stay

	// intake ends before delivery: what it still stores, delivery may still deliver.
	intake                   *errgroup.Group
	stopIntake, stopDelivery context.CancelFunc
	// failed gives the error of a part that ended by itself, which none should.
	failed chan error
}

// start opens and starts everything, or nothing. The instance runs until stop.
func (p *plan) start(cfg *configs.Config, o runOptions, logger *slog.Logger, notify *notifier) (*instance, error) {
	g := &instance{logger: logger, options: o, config: cfg, notify: notify, failed: make(chan error, 1)}
	if err := g.open(p); err != nil {
		return nil, errors.Join(err, g.close())
	}
	var intake, delivery context.Context
	var stopIntake, stopDelivery context.CancelFunc
	delivery, stopDelivery = context.WithCancel(context.Background())
	intake, stopIntake = context.WithCancel(context.Background())
	g.stopDelivery, g.stopIntake = stopDelivery, stopIntake
	g.intake = new(errgroup.Group)
	g.fleet.start(delivery)
	g.intake.Go(func() error { return g.part(intake, "broker", g.broker.Run) })
	if err := errors.Join(g.inflow.start(intake, p.sources), g.board.start(intake, p.devices)); err != nil {
		return nil, errors.Join(err, g.shutdown())
	}
	g.board.links.Store(g)
	g.startAPI()
	return g, nil
}

// part runs a part of the gateway until ctx ends. If it ends before, that goes to failed; the error is what went wrong
// with its end.
func (g *instance) part(ctx context.Context, name string, run func(context.Context) error) error {
	err := run(ctx)
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	if ctx.Err() != nil {
		return err
	}
	if err == nil {
		err = fmt.Errorf("%s: it ended by itself", name)
	}
	select {
	case g.failed <- err:
	default: // one is enough to stop for
		g.logger.Error("another part of the gateway failed", "error", err)
	}
	return nil
}

// open acquires everything. What it acquired before an error, close releases.
func (g *instance) open(p *plan) error {
	options := p.log
	options.Logger = g.logger.With("part", "log")
	log, err := buffer.Open(options)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	g.log = log
	if g.board, err = openBoard(p.id, p.devices, log, g.logger, storedFiles(os.Getenv, os.Unsetenv), g.notify); err != nil {
		return err
	}
	g.board.part = g.part
	broker := p.broker
	broker.Logger, broker.LogID = g.logger.With("part", "mqtt"), log.Status().LogID
	if g.broker, err = mqtt.New(broker, log); err != nil {
		return err
	}
	g.fleet = &fleet{log: log, logger: g.logger, part: g.part, parts: parts{g.broker, g.board.outputs}}
	g.inflow = &springs{log: log, logger: g.logger, part: g.part}
	for _, fp := range p.forwarders {
		if err := g.fleet.add(fp); err != nil {
			return err
		}
	}
	g.openAPI(p)
	return nil
}

// parts are what sinks need of the gateway that they are in.
type parts struct {
	broker  *mqtt.Broker
	outputs *devices.Outputs
}

// forwarderLog is the log as forwarders see it.
type forwarderLog struct{ *buffer.Log }

// NewReader returns the log's reader as the interface.
func (l forwarderLog) NewReader(after gateway.Offset) gateway.Reader { return l.Log.NewReader(after) }

// stop stops intake, lets the forwarders finish or give back what is in flight, and closes the log. Each step is
// bounded by itself; when ctx ends stop returns at once, and what is in the log is safe all the same.
func (g *instance) stop(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- g.shutdown() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the stop was cut short: %w", context.Cause(ctx))
	}
}

func (g *instance) shutdown() error {
	g.stopIntake()
	err := errors.Join(g.intake.Wait(), g.inflow.wait(), g.board.wait())
	g.logger.Debug("intake stopped")
	g.stopDelivery()
	err = errors.Join(err, g.fleet.wait())
	g.logger.Debug("delivery stopped")
	g.stopAPI()
	return errors.Join(err, g.close())
}

// close releases what open acquired, the log last.
func (g *instance) close() error {
	var errs []error
	if g.api.server != nil {
		errs = append(errs, g.api.server.Close())
	}
	if g.broker != nil {
		errs = append(errs, g.broker.Close())
	}
	if g.fleet != nil {
		errs = append(errs, g.fleet.close())
	}
	if g.board != nil {
		errs = append(errs, g.board.close())
	}
	if g.log != nil {
		errs = append(errs, g.log.Close())
	}
	return errors.Join(errs...)
}

// addresses are where the broker listens.
func (g *instance) addresses() []string {
	var addresses []string
	for _, a := range g.broker.Addrs() {
		addresses = append(addresses, a.String())
	}
	return addresses
}

// status is a snapshot of all parts. Safe for concurrent use, also while stop runs.
func (g *instance) status() (gateway.LogStatus, gateway.BrokerStatus, []gateway.ForwarderStatus) {
	return g.log.Status(), g.broker.Status(), g.fleet.status()
}

// cursorPrefix is what the cursors of forwarders begin with.
const cursorPrefix = forwarder.CursorPrefix

package demo

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"gateway"
	"gateway/buffer"
	"gateway/forwarder"
	"gateway/forwarder/mqttsink"
	"gateway/mqtt"
)

// realGateway is a gateway of the real parts, wired as cmd/gateway does.
type realGateway struct {
	log       *buffer.Log
	broker    *mqtt.Broker
	sink      *mqttsink.Sink
	forwarder *forwarder.Forwarder

	stopIntake, stopDelivery context.CancelFunc
	intake, delivery         sync.WaitGroup
	errs                     [2]error
}

func startReal(ctx context.Context, dataDir, listen, upstreamURL string) (Gateway, error) {
	return startWired(ctx, dataDir, listen, upstreamURL, func(sink gateway.Sink) gateway.Sink { return sink })
}

// startWired starts a gateway whose forwarder sends through wrap.
func startWired(ctx context.Context, dataDir, listen, upstreamURL string, wrap func(gateway.Sink) gateway.Sink) (Gateway, error) {
	logger := slog.New(slog.DiscardHandler)
	log, err := buffer.Open(buffer.Options{Dir: dataDir, Logger: logger})
	if err != nil {
		return nil, err
	}
	policy, err := mqtt.NewPolicy("", nil)
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	broker, err := mqtt.New(mqtt.Options{GatewayID: "demo", Listeners: []mqtt.Listener{{Address: listen}}, Policy: policy, Logger: logger}, log)
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	so := mqttsink.Default()
	so.URL, so.ClientID, so.Logger = upstreamURL, "gateway-demo", logger
	so.AckTimeout, so.ConnectTimeout, so.KeepAlive = time.Second, time.Second, time.Second
	sink, err := mqttsink.New(so)
	if err != nil {
		return nil, errors.Join(err, broker.Close(), log.Close())
	}
	fo := forwarder.Default()
	fo.Name, fo.Sink, fo.Log, fo.Logger, fo.RetryMax = "upstream", wrap(sink), log, logger, 500*time.Millisecond
	fwd, err := forwarder.New(fo)
	if err != nil {
		return nil, errors.Join(err, sink.Close(), broker.Close(), log.Close())
	}
	g := &realGateway{log: log, broker: broker, sink: sink, forwarder: fwd}
	life := context.WithoutCancel(ctx)
	var intake, delivery context.Context
	intake, g.stopIntake = context.WithCancel(life)
	delivery, g.stopDelivery = context.WithCancel(life)
	g.intake.Go(func() { g.errs[0] = broker.Run(intake) })
	g.delivery.Go(func() { g.errs[1] = fwd.Run(delivery) })
	return g, nil
}

func (g *realGateway) Addr() string { return g.broker.Addrs()[0].String() }

func (g *realGateway) Status() (gateway.LogStatus, gateway.BrokerStatus, []gateway.ForwarderStatus) {
	return g.log.Status(), g.broker.Status(), []gateway.ForwarderStatus{g.forwarder.Status()}
}

func (g *realGateway) Stop(context.Context) error {
	g.stopIntake()
	g.intake.Wait()
	g.stopDelivery()
	g.delivery.Wait()
	return errors.Join(g.errs[0], g.errs[1], g.sink.Close(), g.log.Close())
}

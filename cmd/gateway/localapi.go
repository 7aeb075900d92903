package main

import (
	"context"
	"sync"

	"gateway/admin"
)

// localAPI is the gateway's local API while it runs.
type localAPI struct {
	server  *admin.Server
	stop    context.CancelFunc
	serving sync.WaitGroup
}

// openAPI makes the socket, and the listener for metrics where one is configured. A gateway that cannot be looked at keeps
// events all the same, so what fails here is said loudly and not the end.
func (g *instance) openAPI(p *plan) {
	logger := g.logger.With("part", "admin")
	g.api.server = admin.New(admin.Options{
		Version: currentVersion().Version, ID: p.id, Log: g.log, Logger: logger,
		Broker:     g.broker.Status,
		Forwarders: g.fleet.status,
		Sources:    g.inflow.status,
		Delivery:   control{g},
		Devices:    deviceControl{g.board},
	})
	if err := g.api.server.ListenSocket(p.log.Dir); err != nil {
		logger.Error("gateway status and gateway log cannot reach this gateway; events are kept and delivered all the same", "error", err)
	}
	if p.adminListen == "" {
		return
	}
	address, err := g.api.server.ListenTCP(p.adminListen)
	if err != nil {
		logger.Error("metrics are not served; events are kept and delivered all the same", "error", err)
		return
	}
	logger.Info("metrics are served", "address", address.String())
}

// startAPI serves until stopAPI.
func (g *instance) startAPI() {
	ctx, stop := context.WithCancel(context.Background())
	g.api.stop = stop
	g.api.serving.Go(func() {
		if err := g.api.server.Run(ctx); err != nil {
			g.logger.Error("the local API ended: restart the gateway to look into it; events are kept and delivered all the same", "error", err)
		}
	})
}

// stopAPI ends every request, so that none touches the log any more.
func (g *instance) stopAPI() {
	if g.api.stop == nil { // it was not started
		return
	}
	g.api.stop()
	g.api.serving.Wait()
}

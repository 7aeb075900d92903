package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"gateway/internal/load/wire"
	"gateway/test/rig"
)

// The gateway's one user. The hash is of the lowest cost, so that a login takes an emulated processor no time.
const (
	user      = "rig"
	password  = "powercut"
	usersFile = user + ":$2a$04$cYNT/wHzfBB/xNcKcMSJ7.QItL79XOAavVsUhtX3VX41twouevKpy\n"
)

// Files of the guest's.
const (
	gatewayConfig = "/etc/gateway.yaml"
	gatewayUsers  = "/etc/users"
	gatewayLog    = "/tmp/gateway.log" // in memory: what it prints takes no part in what the disk does
	gatewayData   = "/data/gateway"
)

// gateway is the gateway in the guest.
type gateway struct {
	m       *machine
	program string // "" stands for /gateway
	config  string
	name    string // of its log on the host
	keep    bool   // its descriptors are kept over restarts
}

// configuration is the text of the configuration file: devices, forwarders and sources are sections of YAML, or "".
func configuration(sections ...string) string {
	return "id: rig\ndata_dir: " + gatewayData + "\nmqtt:\n  listen: 0.0.0.0:1883\n  users_file: " + gatewayUsers +
		"\nbuffer:\n  max_size: 128MiB\n" + strings.Join(sections, "")
}

// devices is the section that the scenarios share.
func devices(lines ...string) string { return section("devices", lines) }

func section(name string, lines []string) string {
	return name + ":\n  - " + strings.Join(lines, "\n  - ") + "\n"
}

// cloud is a forwarder of everything that devices and the gateway say.
func cloud(url string) string {
	return "{name: cloud, match: [\"devices/#\", \"gateway/#\", \"plain/#\"], retry: {min: 100ms, max: 1s}, sink: {type: mqtt, url: \"" + url + "\"}}"
}

// newGateway writes the configuration; start starts it.
func newGateway(ctx context.Context, m *machine, name string, sections ...string) (*gateway, error) {
	g := &gateway{m: m, program: "/gateway", config: configuration(sections...), name: name}
	return g, g.configure(ctx)
}

// configure writes the files again, as after a boot they are gone.
func (g *gateway) configure(ctx context.Context) error {
	return errors.Join(g.m.write(ctx, gatewayConfig, []byte(g.config)), g.m.write(ctx, gatewayUsers, []byte(usersFile)))
}

// start starts it and waits until its broker answers, which is after its log is open. The devices' sources start at the same time.
func (g *gateway) start(ctx context.Context) error {
	if err := g.m.start(ctx, "gateway", gatewayLog, g.keep, g.program, "run", "--config", gatewayConfig); err != nil {
		return err
	}
	ended := make(chan struct{})
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer close(ended)
		_, _ = g.m.wait(waiting, "gateway") // either way there is nothing to wait for
	}()
	for {
		conn, _, err := wire.Dial(g.m.mqtt, g.options("probe"), 5*time.Second)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ended:
			return fmt.Errorf("the gateway does not run: %w: %s", ctx.Err(), g.tail(ctx))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (g *gateway) options(id string) wire.Options {
	return wire.Options{ClientID: id, User: user, Password: password}
}

// stop is SIGTERM, and returns when the gateway has ended with 0.
func (g *gateway) stop(ctx context.Context) error {
	if err := g.m.signal(ctx, "gateway", int(syscall.SIGTERM)); err != nil {
		return err
	}
	code, err := g.m.wait(ctx, "gateway")
	if err == nil && code != 0 {
		err = fmt.Errorf("the gateway ended with %d: %s", code, g.tail(ctx))
	}
	return err
}

// reload is SIGHUP.
func (g *gateway) reload(ctx context.Context) error {
	return g.m.signal(ctx, "gateway", int(syscall.SIGHUP))
}

// kill is kill -9.
func (g *gateway) kill(ctx context.Context) error { return g.m.kill(ctx, "gateway") }

// tail is the end of what it printed.
func (g *gateway) tail(ctx context.Context) string {
	text, err := g.m.read(ctx, gatewayLog)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-1500):])
}

// keepLog copies what the gateway printed to the rig's folder.
func (g *gateway) keepLog(ctx context.Context) {
	text, err := g.m.read(context.WithoutCancel(ctx), gatewayLog)
	if err != nil {
		text = []byte(err.Error())
	}
	file, err := os.OpenFile(filepath.Join(g.m.dir, g.name+"-gateway.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return // a log that is missing is no failure of what is proved
	}
	defer file.Close()
	_, _ = file.Write(text)
}

// publish sends an event to the gateway's broker, which has it on flash when this returns.
func (g *gateway) publish(topic string, payload []byte) error {
	return publish(g.m.mqtt, g.options("sensor"), topic, payload)
}

// eventually waits until check returns nil, and returns its last error where that takes too long.
func eventually(ctx context.Context, patience time.Duration, check func() error) error {
	var err error
	if rig.Poll(ctx, patience, func() bool { err = check(); return err == nil }) {
		return nil
	}
	return fmt.Errorf("after %s: %w", patience, err)
}

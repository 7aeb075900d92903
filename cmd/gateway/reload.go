package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"reflect"
	"syscall"

	"gateway"
	"gateway/configs"
)

var errNoFile = errors.New("the gateway was started without a configuration file, so there is nothing to read again")

// reload reads the configuration again, and makes the forwarders those that it has. What else has changed is named and holds from
// the next start on. With an error nothing has changed, but where the error is about starting a forwarder: that one stays as it was.
func (g *instance) reload() (gateway.Reloaded, error) {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	if g.options.config == "" {
		return gateway.Reloaded{}, &notUsed{errNoFile}
	}
	cfg, p, err := g.options.plan(g.config.ID)
	if err != nil {
		return gateway.Reloaded{}, &notUsed{err}
	}
	var r gateway.Reloaded
	var errs []error
	for _, change := range []func() (gateway.Reloaded, error){ // outputs first: forwarders deliver to them
		func() (gateway.Reloaded, error) { return g.board.change(p.devices) },
		func() (gateway.Reloaded, error) { return g.fleet.change(p.forwarders) },
		func() (gateway.Reloaded, error) { return g.inflow.change(p.sources) },
	} {
		done, err := change()
		r.Added, r.Changed, r.Removed = append(r.Added, done.Added...), append(r.Changed, done.Changed...), append(r.Removed, done.Removed...)
		errs = append(errs, err)
	}
	err = errors.Join(errs...)
	r.Restart = needRestart(g.config, cfg)
	for _, w := range cfg.Warnings {
		g.logger.Warn("configuration", "key", w.Path, "warning", w.Text, "file", w.File, "line", w.Line)
	}
	return r, err
}

// notUsed is what is wrong with a configuration of which nothing was used.
type notUsed struct{ error }

func (n *notUsed) Unwrap() error { return n.error }

// needRestart are the keys whose changes the running gateway does not take in.
func needRestart(old, now *configs.Config) (keys []string) {
	for _, k := range []struct {
		key      string
		old, now any
	}{
		{"id", old.ID, now.ID}, {"data_dir", old.DataDir, now.DataDir}, {"log", old.Log, now.Log},
		{"mqtt", old.MQTT, now.MQTT}, {"buffer", old.Buffer, now.Buffer}, {"admin", old.Admin, now.Admin},
	} {
		if !reflect.DeepEqual(k.old, k.now) {
			keys = append(keys, k.key)
		}
	}
	return keys
}

// reloadOnHangup reads the configuration again at each SIGHUP, until end is called.
func (g *instance) reloadOnHangup() (end func()) {
	signals, quit := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		for {
			select {
			case <-signals:
				_, _ = control{g}.Reload(context.Background()) // it says in the log how it went
			case <-quit:
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(quit)
	}
}

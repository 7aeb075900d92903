package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// world is what most scenarios play in: a machine with a gateway whose events go to an upstream over a line that can be cut.
type world struct {
	*machine
	gateway *gateway
	up      *upstream
}

// world boots a machine and starts the gateway in it; the sections of the configuration may want the upstream's address.
func (l *lab) world(ctx context.Context, name string, sections func(url string) []string) (*world, error) {
	return l.worldOn(ctx, arm64(), name, sections)
}

func (l *lab) worldOn(ctx context.Context, b board, name string, sections func(url string) []string) (*world, error) {
	w, err := l.prepare(ctx, b, name, sections)
	if err != nil {
		return nil, err
	}
	if err := w.gateway.start(ctx); err != nil {
		w.close(ctx)
		return nil, err
	}
	return w, nil
}

// prepare is worldOn without starting the gateway.
func (l *lab) prepare(ctx context.Context, b board, name string, sections func(url string) []string) (*world, error) {
	up, err := l.startUpstream(ctx, name)
	if err != nil {
		return nil, err
	}
	w := &world{up: up}
	if w.machine, err = l.machine(ctx, b, name); err != nil {
		up.close()
		return nil, err
	}
	if w.gateway, err = newGateway(ctx, w.machine, name, sections(up.url())...); err != nil {
		w.close(ctx)
		return nil, err
	}
	return w, nil
}

// close ends everything; what the gateway printed is kept.
func (w *world) close(ctx context.Context) {
	if w.gateway != nil {
		w.gateway.keepLog(ctx)
	}
	w.cut()
	w.up.close()
}

// arrivalPatience is for an event that is on its way upstream.
const arrivalPatience = 60 * time.Second

// arrived waits until at least n events of a type and a subject have come.
func (w *world) arrived(ctx context.Context, n int, kind, subject string) ([]arrival, error) {
	err := eventually(ctx, arrivalPatience, func() error {
		if got := len(w.up.ledger.of(kind, subject)); got < n {
			return fmt.Errorf("%d of %d events %s %s came (%s)", got, n, kind, subject, w.up.ledger.types())
		}
		return w.up.ledger.broken()
	})
	if err != nil {
		err = fmt.Errorf("%w; the gateway said: %s", err, w.gateway.tail(ctx))
	}
	return w.up.ledger.of(kind, subject), err
}

// deliverAll publishes a last event at the gateway's broker and waits until it is upstream: then everything before it is.
func (w *world) deliverAll(ctx context.Context, mark string) error {
	if err := w.gateway.publish("plain/mark/"+mark, []byte(`"`+mark+`"`)); err != nil {
		return err
	}
	_, err := w.arrived(ctx, 1, "", "plain/mark/"+mark)
	return err
}

// reboot is a power cut, the power's return, and the gateway's start.
func (w *world) reboot(ctx context.Context) error {
	w.gateway.keepLog(ctx)
	if err := w.cutAndBoot(ctx); err != nil {
		return err
	}
	if err := w.gateway.configure(ctx); err != nil {
		return err
	}
	return w.gateway.start(ctx)
}

// inLog are the events of a topic that are in the gateway's log: on flash, for the log shows no others.
func (w *world) inLog(ctx context.Context, topic string) ([]arrival, error) {
	out, exit, err := w.run(ctx, nil, nil, w.gateway.program, "log", "list", "--config", gatewayConfig, "--topic", topic, "--last", "0", "--json")
	if err != nil || exit != 0 {
		return nil, fmt.Errorf("log list ended with %d: %w: %s", exit, err, out)
	}
	var events []arrival
	for line := range strings.Lines(out) {
		var entry struct{ Event arrival }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			return nil, fmt.Errorf("log list says %q: %w", line, err)
		}
		events = append(events, entry.Event)
	}
	return events, nil
}

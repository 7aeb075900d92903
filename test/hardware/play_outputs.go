package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"gateway/internal/load/wire"
	"gateway/test/hardware/talk"
)

const pumpSubject = "devices/pump"

// pumpWorld has the relay alone, with commands from the upstream.
type pumpWorld struct {
	*world
	number int // of its line in the kernel's trace
	sent   int
}

// playOutputs sends commands from the upstream's broker to a line, starts, reloads, stops and kills the gateway, and judges by the kernel's own timeline of the line.
func playOutputs(ctx context.Context, l *lab) (string, error) {
	w, err := l.prepare(ctx, arm64(), "outputs", func(url string) []string {
		return []string{
			devices("{name: pump, type: gpio_output, pin: RELAY, chip: " + talk.ChipLabel + ", safe: off, max_on: 10m}"),
			section("sources", []string{"{name: uplink, type: mqtt, url: \"" + url + "\", topics: [\"commands/#\"]}"}),
			section("forwarders", []string{
				"{name: pump, match: [commands/pump], ttl: 1m, outcomes: all, sink: {type: gpio_output, output: pump}}", cloud(url)}),
		}
	})
	if err != nil {
		return "", err
	}
	defer w.close(ctx)
	p := &pumpWorld{world: w}
	if p.number, err = w.machine.number(ctx, slices.Index(talk.Lines[:], "RELAY")); err != nil {
		return "", err
	}
	numbers := ""
	for _, phase := range []struct {
		what string
		play func(context.Context) (string, error)
	}{{"start", p.starts}, {"commands", p.obeys}, {"expired", p.refuses}, {"reload", p.reloads}, {"stop", p.stops}, {"kill", p.killed}} {
		said, err := phase.play(ctx)
		if err != nil {
			return numbers, fmt.Errorf("%s: %w; the gateway said: %s", phase.what, err, w.gateway.tail(ctx))
		}
		l.say("outputs: %s: %s", phase.what, said)
		numbers += phase.what + ": " + said + "; "
	}
	return numbers, nil
}

// during returns what the line was driven to, and how often it was made an input, while play played.
func (p *pumpWorld) during(ctx context.Context, play func() error) (levels []bool, inputs int, err error) {
	if err := p.trace(ctx); err != nil {
		return nil, 0, err
	}
	if err := play(); err != nil {
		return nil, 0, err
	}
	steps, err := p.traced(ctx)
	if err != nil {
		return nil, 0, err
	}
	levels, inputs = driven(steps, p.number)
	return levels, inputs, nil
}

// want compares with what the kernel saw.
func want(levels []bool, inputs int, wanted ...bool) (string, error) {
	said := fmt.Sprintf("driven to %v, made an input %d times", levels, inputs)
	if !slices.Equal(levels, wanted) || inputs > 0 {
		return said, fmt.Errorf("the line was %s; want %v and none", said, wanted)
	}
	return said, nil
}

// starts wants the line low from the first moment.
func (p *pumpWorld) starts(ctx context.Context) (string, error) {
	levels, inputs, err := p.during(ctx, func() error {
		if err := p.gateway.start(ctx); err != nil {
			return err
		}
		_, err := p.arrived(ctx, 1, "device.output", pumpSubject)
		return err
	})
	if err != nil {
		return "", err
	}
	return want(levels, inputs, false)
}

// send sends a command as a CloudEvent and returns its id; expiry may be zero.
func (p *pumpWorld) send(do string, expiry time.Time) (id string, err error) {
	p.sent++
	id = fmt.Sprintf("command-%d", p.sent)
	event := map[string]string{"specversion": "1.0", "id": id, "source": "//commander/rig", "type": "command", "subject": "commands/pump",
		"datacontenttype": "application/json", "data": do}
	if !expiry.IsZero() {
		event["expirytime"] = expiry.UTC().Format(time.RFC3339)
	}
	text, err := json.Marshal(event)
	if err != nil {
		return id, err
	}
	return id, publish(p.up.broker.Addr, wire.Options{ClientID: "commander"}, "commands/pump", text)
}

// outcome waits for what became of a command.
func (p *pumpWorld) outcome(ctx context.Context, id string) (result string, err error) {
	err = eventually(ctx, arrivalPatience, func() error {
		for _, a := range p.up.ledger.of("gateway.outcome", "") {
			var o struct{ ID, Result, Cause string }
			if err := json.Unmarshal(a.Data, &o); err != nil {
				return err
			}
			if o.ID == id {
				result = o.Result
				return nil
			}
		}
		return fmt.Errorf("the outcome of %s did not come (%s)", id, p.up.ledger.types())
	})
	return result, err
}

// obeys sends commands faster than they are carried out: each once, in order.
func (p *pumpWorld) obeys(ctx context.Context) (string, error) {
	const commands = 40
	var wanted []bool
	levels, inputs, err := p.during(ctx, func() error {
		var ids []string
		for i := range commands {
			do := "on"
			if i%2 == 1 {
				do = "off"
			}
			wanted = append(wanted, do == "on")
			id, err := p.send(do, time.Time{})
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
		for _, id := range ids {
			if result, err := p.outcome(ctx, id); err != nil || result != "delivered" {
				return fmt.Errorf("%s: %q, %w", id, result, err)
			}
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	if _, err := want(levels, inputs, wanted...); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d of %d carried out once and in order", len(levels), commands), nil
}

// refuses sends a command that is too old.
func (p *pumpWorld) refuses(ctx context.Context) (string, error) {
	var result string
	levels, inputs, err := p.during(ctx, func() error {
		id, err := p.send("on", time.Now().Add(-time.Minute))
		if err != nil {
			return err
		}
		result, err = p.outcome(ctx, id)
		return err
	})
	if err != nil {
		return "", err
	}
	if result != "expired" {
		return "", fmt.Errorf("its outcome is %q, want expired", result)
	}
	_, err = want(levels, inputs)
	return "refused as expired, the line untouched", err
}

// noExpiry is that of a command that never expires.
var noExpiry time.Time

// on switches the pump on.
func (p *pumpWorld) on(ctx context.Context) error {
	id, err := p.send("on", time.Time{})
	if err != nil {
		return err
	}
	if result, err := p.outcome(ctx, id); err != nil || result != "delivered" {
		return fmt.Errorf("on: %q, %w", result, err)
	}
	return nil
}

// reloads wants the line untouched by a reload while it is on.
func (p *pumpWorld) reloads(ctx context.Context) (string, error) {
	if err := p.on(ctx); err != nil {
		return "", err
	}
	levels, inputs, err := p.during(ctx, func() error {
		for n := range 3 {
			if err := p.gateway.reload(ctx); err != nil {
				return err
			}
			if err := p.deliverAll(ctx, fmt.Sprintf("reload-%d", n)); err != nil {
				return err
			}
		}
		return wait(ctx, time.Second) // a reload says nothing that could be waited for
	})
	if err != nil {
		return "", err
	}
	if level, err := p.level(ctx); err != nil || level != "1" {
		return "", fmt.Errorf("after three reloads the line is %q, %w, want 1", level, err)
	}
	_, err = want(levels, inputs)
	return "three times, the line untouched and on", err
}

// level is what the line drives, as the simulation sees it.
func (p *pumpWorld) level(ctx context.Context) (string, error) {
	out, err := p.shell(ctx, fmt.Sprintf("cat /sys/devices/platform/gpio-sim.*/gpiochip*/sim_gpio%d/value", slices.Index(talk.Lines[:], "RELAY")))
	return out[:min(1, len(out))], err
}

// stops wants a stop to switch the pump off, once, and the next start to keep it so.
func (p *pumpWorld) stops(ctx context.Context) (string, error) {
	levels, inputs, err := p.during(ctx, func() error { return p.gateway.stop(ctx) })
	if err != nil {
		return "", err
	}
	if _, err := want(levels, inputs, false); err != nil {
		return "", fmt.Errorf("at the stop %w", err)
	}
	outputs := len(p.up.ledger.of("device.output", pumpSubject))
	levels, inputs, err = p.during(ctx, func() error {
		if err := p.gateway.start(ctx); err != nil {
			return err
		}
		_, err := p.arrived(ctx, outputs+1, "device.output", pumpSubject)
		return err
	})
	if err != nil {
		return "", err
	}
	if _, err := want(levels, inputs, false); err != nil {
		return "", fmt.Errorf("at the next start %w", err)
	}
	return "off once, and low from the first moment of the next start", nil
}

// killed wants a gateway that was killed while the pump was on to start with it off, and no command twice.
func (p *pumpWorld) killed(ctx context.Context) (string, error) {
	if err := p.on(ctx); err != nil {
		return "", err
	}
	outputs := len(p.up.ledger.of("device.output", pumpSubject))
	levels, inputs, err := p.during(ctx, func() error {
		if err := p.gateway.kill(ctx); err != nil {
			return err
		}
		if err := p.gateway.start(ctx); err != nil {
			return err
		}
		if _, err := p.arrived(ctx, outputs+1, "device.output", pumpSubject); err != nil {
			return err
		}
		return p.deliverAll(ctx, "killed")
	})
	if err != nil {
		return "", err
	}
	if _, err := want(levels, inputs, false); err != nil {
		return "", err
	}
	return "off at the next start, no command repeated", nil
}

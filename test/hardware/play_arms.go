package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"gateway/internal/load/wire"
	"gateway/test/hardware/talk"
	"gateway/test/rig"
)

// build is the gateway for a processor.
type build struct {
	name     string
	env      []string
	emulator []string
}

func builds() []build {
	return []build{
		{"armv6", []string{"GOOS=linux", "GOARCH=arm", "GOARM=6"}, []string{"qemu-arm", "-cpu", "arm1176"}},
		{"armv7", []string{"GOOS=linux", "GOARCH=arm", "GOARM=7"}, []string{"qemu-arm", "-cpu", "cortex-a7"}},
	}
}

// playArms runs the 32-bit builds with the configuration of the edges scenario: on a 64-bit kernel, which translates their calls, on a 32-bit kernel, and under
// qemu-user, where there are no pins and the device's fault is told.
func playArms(ctx context.Context, l *lab) (string, error) {
	var said []string
	for _, b := range builds() {
		program := filepath.Join(l.dir, "gateway."+b.name)
		if err := rig.Build(ctx, program, "./cmd/gateway", b.env...); err != nil {
			return "", err
		}
		for _, way := range []struct {
			what string
			play func(context.Context, *lab, build, string) (string, error)
		}{{"under qemu-user", emulated}, {"on an arm64 kernel", translated}} {
			numbers, err := way.play(ctx, l, b, program)
			if err != nil {
				return strings.Join(said, "; "), fmt.Errorf("%s %s: %w", b.name, way.what, err)
			}
			said = append(said, b.name+" "+way.what+": "+numbers)
			l.say("arms: %s", said[len(said)-1])
		}
	}
	w, err := doorWorld(ctx, l, armv7(), "armv7", "")
	if err != nil {
		return strings.Join(said, "; "), fmt.Errorf("armv7 on its own kernel: %w", err)
	}
	defer w.close(ctx)
	numbers, err := w.someEdges(ctx, 10)
	return strings.Join(append(said, "armv7 on its own kernel: "+numbers), "; "), err
}

// someEdges makes a hundred edges.
func (w *world) someEdges(ctx context.Context, hertz int) (string, error) {
	made, err := w.burst(ctx, 99, time.Second/time.Duration(hertz), false)
	if err != nil {
		return "", err
	}
	t, err := tallyEdges(w.doorEvents())
	numbers := fmt.Sprintf("%d edges, %d received + %d overrun", made.Edges, t.received, t.overrun)
	if err == nil && t.received != made.Edges {
		err = fmt.Errorf("want all %d edges, got %s", made.Edges, numbers)
	}
	return numbers, err
}

// translated runs a 32-bit gateway on a 64-bit kernel.
func translated(ctx context.Context, l *lab, b build, program string) (string, error) {
	w, err := l.prepare(ctx, arm64(), "compat-"+b.name, func(url string) []string {
		return []string{devices(doorOf("")), section("forwarders", []string{cloud(url)})}
	})
	if err != nil {
		return "", err
	}
	defer w.close(ctx)
	w.gateway.program = "/tmp/gateway"
	if err := w.push(ctx, program, w.gateway.program); err != nil {
		return "", err
	}
	if err := w.gateway.start(ctx); err != nil {
		return "", err
	}
	if _, err := w.arrived(ctx, 1, "device.input", doorSubject); err != nil {
		return "", err
	}
	return w.someEdges(ctx, 50)
}

// emulated runs a gateway on this machine, which has no such chip: the door's fault is delivered, and everything else works.
func emulated(ctx context.Context, l *lab, b build, program string) (string, error) {
	up, err := l.startUpstream(ctx, "user-"+b.name)
	if err != nil {
		return "", err
	}
	defer up.close()
	url := "tcp://" + up.line.Addr()
	g := &rig.Gateway{Program: program, Wrapper: b.emulator, Dir: l.dir, Name: "user-" + b.name,
		Upstream: up.line.Addr(), Delivery: devices(doorOf("")) + section("forwarders", []string{cloud(url)})}
	running, err := g.Start(ctx)
	if err != nil {
		return "", err
	}
	defer running.Kill()
	if err := publish(running.Addr, wire.Options{ClientID: "sensor"}, "plain/user", []byte("1")); err != nil {
		return "", err
	}
	err = eventually(ctx, arrivalPatience, func() error {
		if len(up.ledger.of("", "plain/user")) == 0 || len(up.ledger.of("device.fault", doorSubject+"/fault")) == 0 {
			return fmt.Errorf("want the publish and a fault of the door, got %s", up.ledger.types())
		}
		return up.ledger.broken()
	})
	if err == nil {
		err = running.Stop(20 * time.Second)
	}
	return "a publish and the fault of " + talk.ChipLabel + " delivered", err
}

// playBoards runs an MQTT publish through the 32-bit machine: what arms stands on.
func playBoards(ctx context.Context, l *lab) (string, error) {
	began := time.Now()
	w, err := l.worldOn(ctx, armv7(), "boards", func(url string) []string { return []string{section("forwarders", []string{cloud(url)})} })
	if err != nil {
		return "", err
	}
	defer w.close(ctx)
	up := time.Since(began)
	if err := w.deliverAll(ctx, "armv7"); err != nil {
		return "", err
	}
	made, err := w.edges(ctx, talk.Train{Line: "GPIO17", Count: 50, Period: 10 * time.Millisecond})
	if err == nil && made.Edges != 50 {
		err = errors.New("not all edges could be written")
	}
	if err != nil {
		return "", err
	}
	for _, c := range simChips() {
		if err := w.load(ctx, &c); err != nil {
			return "", err
		}
	}
	got, err := w.i2c(ctx, 1, 0x76, []byte{0xd0}, 1)
	if err != nil || got[0] != 0x58 {
		return "", fmt.Errorf("the chip at 0x76 answers % x, %w", got, err)
	}
	return fmt.Sprintf("kernel %s, gateway up after %.1f s, a publish delivered", w.kernel.version, up.Seconds()), nil
}

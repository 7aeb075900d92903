package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"gateway/test/hardware/talk"
)

// playRig shows that what the other scenarios stand on is there.
func playRig(ctx context.Context, l *lab) (string, error) {
	m, err := l.machine(ctx, arm64(), "rig")
	if err != nil {
		return "", err
	}
	defer m.cut()
	made, err := m.edges(ctx, talk.Train{Line: "GPIO17", Count: 200, Period: time.Millisecond})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d edges in %s, the latest by %s", made.Edges, made.Last-made.First, made.Late), errors.Join(lookAround(ctx, m))
}

func lookAround(ctx context.Context, m *machine) error {
	out, err := m.shell(ctx, "ls /dev/gpiochip* /dev/i2c-* /sys/bus/w1/devices; ls /sys/kernel/debug/i2csim /sys/kernel/debug/w1sim /sys/kernel/tracing/events/gpio; cat /proc/meminfo | head -3; df /data")
	fmt.Println(strings.TrimSpace(out))
	return err
}

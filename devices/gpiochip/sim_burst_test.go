package gpiochip

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"periph.io/x/conn/v3/gpio"
)

// wave makes n edges of a line, hz a second as well as the machine can, and says how long it took.
func (s sim) wave(line, n, hz int) (time.Duration, error) {
	f, err := os.OpenFile(fmt.Sprintf("%s/sim_gpio%d/pull", s.sys, line), os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	words := [2]string{"pull-up", "pull-down"}
	beat := time.NewTicker(time.Second / time.Duration(hz))
	defer beat.Stop()
	start := time.Now()
	for i := range n {
		<-beat.C
		if _, err := f.WriteAt([]byte(words[i%2]), 0); err != nil {
			return 0, err
		}
	}
	return time.Since(start), nil
}

// TestSimHundredHertz: at 100 edges a second none is lost. GATEWAY_GPIOSIM_EDGES is how many; 1,000 are enough for every day.
func TestSimHundredHertz(t *testing.T) {
	s := openSim(t)
	n := 1000
	if text := os.Getenv("GATEWAY_GPIOSIM_EDGES"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	s.pull(t, 0, false)
	l := s.open(t, 0, Config{Edge: gpio.BothEdges, Pull: gpio.PullNoChange})
	took := make(chan time.Duration, 1)
	go func() {
		d, err := s.wave(0, n, 100)
		if err != nil {
			t.Error(err)
		}
		took <- d
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	buf := make([]Event, 16)
	for got := 0; got < n; {
		k, err := l.Events(ctx, buf)
		if err != nil {
			t.Fatalf("after %d edges: %v", got, err)
		}
		for _, e := range buf[:k] {
			if got++; e.Sequence != uint32(got) || e.Rising != (got%2 == 1) {
				t.Fatalf("edge %d: got %+v", got, e)
			}
		}
	}
	t.Logf("%d edges in %v: received %d, holes 0", n, (<-took).Round(time.Millisecond), n)
}

// TestSimStalledConsumer: edges come at 1,000 a second while the consumer takes 20 ms for each; what it is given and the holes in the numbers are what was made.
func TestSimStalledConsumer(t *testing.T) {
	s := openSim(t)
	const n = 2001 // odd: the wave ends high
	s.pull(t, 0, false)
	l := s.open(t, 0, Config{Edge: gpio.BothEdges, Pull: gpio.PullNoChange, Buffer: 64})
	done := make(chan time.Duration, 1)
	go func() {
		d, err := s.wave(0, n, 1000)
		if err != nil {
			t.Error(err)
		}
		done <- d
	}()
	received, holes, last := 0, 0, uint32(0)
	buf := make([]Event, 1)
	for last < n { // the newest is never thrown away
		if k, err := l.Events(t.Context(), buf); k != 1 || err != nil {
			t.Fatalf("after %d edges: %v", received, err)
		}
		if buf[0].Sequence <= last || buf[0].Sequence > n {
			t.Fatalf("got edge %d after %d, of %d", buf[0].Sequence, last, n)
		}
		received, holes, last = received+1, holes+int(buf[0].Sequence-last)-1, buf[0].Sequence
		<-time.After(20 * time.Millisecond) // it is slow
	}
	t.Logf("%d edges in %v: received %d + holes %d", n, (<-done).Round(time.Millisecond), received, holes)
	if received+holes != n || holes == 0 {
		t.Errorf("received %d + holes %d, want %d, and some of each", received, holes, n)
	}
}

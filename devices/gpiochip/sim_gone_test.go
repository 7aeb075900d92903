package gpiochip

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"periph.io/x/conn/v3/gpio"
)

// plug takes the chip out (0) or puts it in again (1).
func plug(t *testing.T, label, live string) {
	t.Helper()
	found, err := filepath.Glob("/sys/kernel/config/gpio-sim/*/*/label")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		if b, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(b)) == label {
			if err := os.WriteFile(filepath.Join(filepath.Dir(path), "../live"), []byte(live), 0); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no simulated chip has the label %q: %v", label, found)
}

// TestSimGone: who waits for a chip that is unplugged learns of it, and after it was plugged in again its lines can be opened.
func TestSimGone(t *testing.T) {
	s := openSim(t)
	l := s.open(t, 2, Config{Edge: gpio.BothEdges, Pull: gpio.PullNoChange})
	gone := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	go func() {
		_, err := l.Events(ctx, make([]Event, 1))
		gone <- err
	}()
	<-time.After(200 * time.Millisecond) // by now it waits; it must learn of it in any case
	plug(t, s.chip.Label, "0")
	start := time.Now()
	if err := <-gone; !errors.Is(err, ErrGone) {
		t.Errorf("got %v, want %v", err, ErrGone)
	}
	t.Logf("noticed after %v", time.Since(start))
	if _, err := l.Level(); !errors.Is(err, ErrGone) {
		t.Errorf("got %v of the level, want %v", err, ErrGone)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	plug(t, s.chip.Label, "1")
	s = openSim(t)
	s.pull(t, 2, false)
	l = s.open(t, 2, Config{Edge: gpio.BothEdges, Pull: gpio.PullNoChange})
	s.pull(t, 2, true)
	buf := make([]Event, 1)
	if n, err := l.Events(t.Context(), buf); n != 1 || err != nil || buf[0].Sequence != 1 || !buf[0].Rising {
		t.Errorf("got %d, %v, %+v; want the first edge after it was plugged in", n, err, buf)
	}
}

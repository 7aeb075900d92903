package filesink

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gateway"
	"gateway/internal/gatewaytest"
)

func TestAFullDiskKeepsWholeLinesAndLosesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=128k"); err != nil {
		t.Skipf("mounting a small disk needs root: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	ballast, path := filepath.Join(dir, "ballast"), filepath.Join(dir, "events.jsonl")
	if err := os.WriteFile(ballast, make([]byte, 100<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newSink(t, options(path))
	if err := s.Send(t.Context(), gatewaytest.Entries(1, 5)); err != nil {
		t.Fatal(err)
	}
	batch := gatewaytest.Entries(6, 3)
	batch[1].Event.Data = []byte(strings.Repeat("x", 60<<10))
	for range 2 {
		err := s.Send(t.Context(), batch)
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "free some space") {
			t.Fatalf("got %v, want a full disk, and what to do", err)
		}
		if errors.Is(err, gateway.ErrPermanent) || errors.Is(err, gateway.ErrBlocked) {
			t.Errorf("got %v, want it without a class: it is retried", err)
		}
		if got := ids(read(t, path)); got != "1 2 3 4 5" {
			t.Fatalf("on the full disk the file has %s, want 1 to 5", got)
		}
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if got := ids(read(t, path)); got != "1 2 3 4 5 6 7 8" {
		t.Errorf("got %s, want 1 to 8", got)
	}
}

package buffer

import (
	"os"
	"sync"
	"testing"
)

// TestNewestLogWhileTheEngineTurns: it makes the next log before it deletes the last one, and who looks in between finds one of the two.
func TestNewestLogWhileTheEngineTurns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(n int) {
		if err := os.WriteFile(walPath(dir, n), []byte("x"), 0o600); err != nil {
			t.Error(err)
		}
	}
	write(1)
	stop := make(chan struct{})
	var engine sync.WaitGroup
	engine.Go(func() {
		for n := 2; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			write(n)
			if err := os.Remove(walPath(dir, n-1)); err != nil {
				t.Error(err)
			}
		}
	})
	for range 20_000 {
		if _, _, err := newestWAL(dir); err != nil {
			t.Error(err)
			break
		}
	}
	close(stop)
	engine.Wait()
}

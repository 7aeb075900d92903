package faultproxy

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"time"
)

func TestSlowCloseEndsTheDataAndThenTheConnection(t *testing.T) {
	t.Parallel()
	p := setup(t)
	conn := dial(t, p)
	roundTrip(t, conn, "x")
	if n := p.Cut(SlowClose); n != 1 {
		t.Fatalf("cut %d connections, want 1", n)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("read got %v, want %v", err, io.EOF)
	}
	if _, err := conn.Write([]byte("swallowed")); err != nil {
		t.Errorf("write before it is closed got %v, want it swallowed", err)
	}
	for { // until it is closed
		if _, err := conn.Write([]byte("x")); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("it was never closed")
		} else if err != nil {
			break
		}
	}
	roundTrip(t, dial(t, p), "a new connection passes")
}

func TestCutNextSparesNoByteOfANewConnection(t *testing.T) {
	t.Parallel()
	for n := range int64(4) {
		p := setup(t)
		old := dial(t, p)
		roundTrip(t, old, "old")
		fired := p.CutNextAfterBytes(Down, n, Close)
		roundTrip(t, old, "does not count")
		conn := dial(t, p)
		conn.Write([]byte("abcde"))
		if got, err := io.ReadAll(conn); err != nil || string(got) != "abcde"[:n] {
			t.Errorf("got %q, %v, want %q", got, err, "abcde"[:n])
		}
		<-fired
		roundTrip(t, dial(t, p), "once only")
	}
}

func TestBandwidthIsKept(t *testing.T) {
	t.Parallel()
	p := setup(t)
	conn := dial(t, p)
	const rate, size = 200_000, 20_000
	p.SetBandwidth(rate)
	start := time.Now()
	roundTrip(t, conn, string(bytes.Repeat([]byte("x"), size)))
	if took, least := time.Since(start), size*time.Second/rate; took < least {
		t.Errorf("%d bytes took %s, want %s or more", size, took, least)
	}
	p.SetBandwidth(0)
	roundTrip(t, conn, "any number again")
}

func TestObserverSeesWhatIsLost(t *testing.T) {
	t.Parallel()
	p := setup(t)
	var mu sync.Mutex
	seen := map[int64]string{}
	p.Observe(func(conn int64, d Direction, b []byte) {
		mu.Lock()
		defer mu.Unlock()
		if d == Up {
			seen[conn] += string(b)
		}
	})
	roundTrip(t, dial(t, p), "first")
	fired := p.CutAfterBytes(Up, 2, Reset)
	conn := dial(t, p)
	conn.Write([]byte("lost"))
	<-fired
	mu.Lock()
	defer mu.Unlock()
	if seen[1] != "first" || seen[2] != "lost" {
		t.Errorf("got %v, want first and lost", seen)
	}
}

func TestThrottleSharesOutItsRate(t *testing.T) {
	t.Parallel()
	limit := throttle{rate: 1000}
	now := time.Unix(1, 0)
	for i := 1; i <= 10; i++ {
		piece, wait := limit.take(1<<20, now)
		if want := time.Duration(i) * time.Second / pieces; piece != 1000/pieces || wait != want {
			t.Fatalf("piece %d: got %d bytes after %s, want %d after %s", i, piece, wait, 1000/pieces, want)
		}
	}
	if piece, wait := (&throttle{}).take(7, now); piece != 7 || wait != 0 {
		t.Errorf("without a rate: got %d bytes after %s, want all at once", piece, wait)
	}
}

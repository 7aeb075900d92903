package buffer

import (
	"bytes"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"gateway"
)

// syncBuffer is a log that tests can read.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) count(line string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.b.String(), line)
}

// filler appends incompressible batches of about 200 kB.
type filler struct {
	rng *rand.ChaCha8
	l   *Log
	max int64 // what the directory took at most
}

func newFiller(l *Log) *filler { return &filler{rng: rand.NewChaCha8([32]byte{1}), l: l} }

func (f *filler) append(t *testing.T) error {
	t.Helper()
	events := make([]gateway.Event, 10)
	for i := range events {
		data := make([]byte, 20<<10)
		_, _ = f.rng.Read(data)
		events[i] = event(string(data))
	}
	_, err := f.l.Append(testContext(t), events...)
	n, statErr := diskBytes(f.l.engine.dir)
	if statErr != nil {
		t.Fatal(statErr)
	}
	f.max = max(f.max, n)
	return err
}

func (f *filler) untilFull(t *testing.T) {
	t.Helper()
	for range 10_000 {
		err := f.append(t)
		if errors.Is(err, gateway.ErrFull) {
			if f.l.usage.live.Load() >= uint64(MinMaxSize)*3/8 { // the rest is the engine's, at this size
				return
			}
			waitFor(t, "deleted blocks to be merged away", func() bool { return !f.l.Status().Full })
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the log is never full")
}

func TestFullAndRoomAgain(t *testing.T) {
	t.Parallel()
	var out syncBuffer
	l := openLog(t, Options{MaxSize: MinMaxSize, Logger: slog.New(slog.NewTextHandler(&out, nil))})
	settle(t, l, "up", 0)
	f := newFiller(l)
	for round := range 3 {
		f.untilFull(t)
		s := l.Status()
		if !s.Full || s.Trimmed != uint64(s.First-1) {
			t.Fatalf("round %d: got status %+v, want full", round, s)
		}
		// Cursors and keys are taken all the same: they are what makes room.
		settle(t, l, "up", s.First+(s.Last-s.First)/2)
		waitFor(t, "room", func() bool { return !l.Status().Full })
		if err := f.append(t); err != nil && !errors.Is(err, gateway.ErrFull) {
			t.Fatal(err)
		}
	}
	if limit := MinMaxSize * 105 / 100; f.max > limit {
		t.Errorf("the directory took %s, want %s at most", mib(f.max), mib(limit))
	}
	if full, room := out.count("log is full"), out.count("log has room again"); full < 3 || full > 20 || room < 3 {
		t.Errorf("got %d lines of full and %d of room for 3 rounds", full, room)
	}
	s := l.Status()
	if got := readTo(t, l, s.First-1, s.Last); len(got) != int(s.Last-s.First+1) {
		t.Errorf("got %d events, want %d", len(got), s.Last-s.First+1)
	}
}

// TestNoCursorKeepsToTheBound: where nobody is owed anything, the oldest events go.
func TestNoCursorKeepsToTheBound(t *testing.T) {
	t.Parallel()
	l := openLog(t, Options{MaxSize: MinMaxSize})
	f := newFiller(l)
	const batches = 600 // 120 MB
	refused := 0
	for range batches {
		for {
			err := f.append(t)
			if err == nil {
				break
			}
			if !errors.Is(err, gateway.ErrFull) {
				t.Fatal(err)
			}
			refused++
			waitFor(t, "room", func() bool { return !l.Status().Full })
		}
	}
	s := l.Status()
	if s.Last != batches*10 || s.First == 1 || s.Trimmed != uint64(s.First-1) || len(s.Lost) != 0 {
		t.Errorf("got status %+v, want the newest of %d events", s, batches*10)
	}
	if f.max > MinMaxSize*105/100 {
		t.Errorf("the directory took %s, want %s at most", mib(f.max), mib(MinMaxSize*105/100))
	}
	if kept := int64(l.usage.live.Load()); kept < MinMaxSize/4 {
		t.Errorf("only %s of events were kept", mib(kept))
	}
	t.Logf("at most %s on disk, refused %d times", mib(f.max), refused)
}

func TestCrowdedDisk(t *testing.T) {
	t.Parallel()
	free := make(chan int64, 1)
	free <- 1 << 40
	l := openLog(t, Options{hooks: hooks{free: func(string) (int64, error) {
		n := <-free
		free <- n
		return n, nil
	}}})
	mustAppend(t, l, event("x"))
	<-free
	free <- 1 << 20
	waitFor(t, "refusal", func() bool { return l.Status().Full })
	if _, err := l.Append(testContext(t), event("x")); !errors.Is(err, gateway.ErrFull) {
		t.Errorf("got %v on a crowded disk, want ErrFull", err)
	}
	<-free
	free <- 1 << 40
	start := time.Now()
	waitFor(t, "room", func() bool { return !l.Status().Full })
	mustAppend(t, l, event("x"))
	t.Logf("room again after %s", time.Since(start))
}

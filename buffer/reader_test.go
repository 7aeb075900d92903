package buffer

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gateway"
)

// TestTailAndDiskAreEqual reads the same events from memory and, after a start, from the engine, from every offset.
func TestTailAndDiskAreEqual(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openLog(t, Options{Dir: dir})
	w := newWalk(3)
	for i := range 20 {
		var b gateway.Batch
		for range 1 + i*7%40 {
			e := w.next()
			e.Data = append([]byte(nil), e.Data...)
			b.Events = append(b.Events, e)
		}
		mustCommit(t, l, b)
	}
	last := l.Status().Last
	tail := readTo(t, l, 0, last)
	closeLog(t, l)
	l = openLog(t, Options{Dir: dir})
	if diff := cmp.Diff(tail, readTo(t, l, 0, last)); diff != "" {
		t.Fatalf("tail and disk (-tail +disk):\n%s", diff)
	}
	for after := range last {
		r := l.NewReader(after)
		got, err := r.Next(testContext(t), 3)
		if err != nil || got[0].Offset != after+1 || len(got) > 3 {
			t.Fatalf("after %d: got %v, %v", after, got, err)
		}
	}
}

func TestReaderGathersSmallBlocks(t *testing.T) {
	t.Parallel()
	l := openLog(t, Options{})
	appendBlocks(t, l, 50)
	got, err := l.NewReader(1).Next(testContext(t), 60)
	if err != nil || len(got) < 30 || len(got) > 60 || got[0].Offset != 2 {
		t.Errorf("got %d entries from %d (%v), want about 60 from 2", len(got), got[0].Offset, err)
	}
}

func TestReaderWaits(t *testing.T) {
	t.Parallel()
	l := openLog(t, Options{})
	r := l.NewReader(0)
	ctx, cancel := context.WithCancel(testContext(t))
	cancel()
	if _, err := r.Next(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	if _, err := r.Next(testContext(t), 0); err == nil {
		t.Error("got no error for 0 entries")
	}
	got := make(chan []gateway.Entry)
	go func() {
		for range 100 {
			entries, err := r.Next(testContext(t), 1)
			if err != nil {
				t.Error(err)
			}
			got <- entries
		}
	}()
	for i := range 100 {
		mustAppend(t, l, event(fmt.Sprint(i)))
		if e := <-got; len(e) != 1 || string(e[0].Event.Data) != fmt.Sprint(i) {
			t.Fatalf("got %v, want event %d", e, i)
		}
	}
	if err := errors.Join(r.Close(), r.Close()); err != nil {
		t.Error(err)
	}
	if _, err := r.Next(testContext(t), 1); !errors.Is(err, gateway.ErrClosed) {
		t.Errorf("got %v from a closed reader, want ErrClosed", err)
	}
}

// TestReaderNeverBeforeDurable holds a commit back: a reader sees nothing of it until it is through.
func TestReaderNeverBeforeDurable(t *testing.T) {
	t.Parallel()
	g := newGate()
	l := openLog(t, Options{hooks: hooks{beforeCommit: g.hook}})
	acked := make(chan struct{})
	err := l.Submit(testContext(t), gateway.Batch{Events: []gateway.Event{event("x")}}, func(gateway.Offset, error) { close(acked) })
	if err != nil {
		t.Fatal(err)
	}
	<-g.entered
	read := make(chan gateway.Offset, 1)
	go func() {
		entries, err := l.NewReader(0).Next(testContext(t), 1)
		if err != nil {
			t.Error(err)
			return
		}
		read <- entries[0].Offset
	}()
	for range 1000 {
		select {
		case offset := <-read:
			t.Fatalf("offset %d was read before it was durable", offset)
		default:
			if s := l.Status(); s.Last != 0 {
				t.Fatalf("got last %d before the commit", s.Last)
			}
		}
	}
	g.pass <- nil
	<-acked
	if offset := <-read; offset != 1 {
		t.Errorf("got offset %d, want 1", offset)
	}
	g.open()
}

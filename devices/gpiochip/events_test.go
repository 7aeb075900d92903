package gpiochip

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
)

// TestTheEndOfAWaitDoesNotEndTheNext: a context that ends just when an edge comes leaves nothing behind that frees the wait after it.
func TestTheEndOfAWaitDoesNotEndTheNext(t *testing.T) {
	t.Parallel()
	l, w := pipeLine(t)
	edge := func() {
		if _, err := w.Write(rawEvent(lineEvent{id: 1})); err != nil {
			t.Error(err)
		}
	}
	buf := make([]Event, 1)
	for i := range 5000 {
		edge()
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		_, err := l.Events(ctx, buf)
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("wait %d: got %v, want an edge or the end of the context", i, err)
		}
		if err == nil {
			go func() {
				runtime.Gosched()
				edge()
			}()
		}
		if n, err := l.Events(t.Context(), buf); n != 1 || err != nil {
			t.Fatalf("the wait after wait %d: got %d edges, %v; want 1", i, n, err)
		}
	}
}

// TestAQuietChipThatGoesIsNoticed: kernels before 6.6 do not wake who waits.
func TestAQuietChipThatGoesIsNoticed(t *testing.T) {
	t.Parallel()
	l, _ := pipeLine(t)
	k := &fakeRequest{}
	l.call = k.call
	freed := make(chan error, 1)
	go func() {
		_, err := l.Events(t.Context(), make([]Event, 1))
		freed <- err
	}()
	k.mu.Lock()
	k.gone = true
	k.mu.Unlock()
	if err := <-freed; !errors.Is(err, ErrGone) {
		t.Errorf("got %v, want %v", err, ErrGone)
	}
}

// TestOddReads: what is not whole events is an error, and so is no room for any.
func TestOddReads(t *testing.T) {
	t.Parallel()
	l, w := pipeLine(t)
	if _, err := w.Write(make([]byte, eventSize+1)); err != nil {
		t.Fatal(err)
	}
	if n, err := l.Events(t.Context(), make([]Event, 4)); err == nil || !strings.Contains(err.Error(), "49 bytes") {
		t.Errorf("got %d events, %v; want that the kernel gave 49 bytes", n, err)
	}
	if n, err := l.Events(t.Context(), nil); err == nil {
		t.Errorf("got %d events without room for any", n)
	}
}

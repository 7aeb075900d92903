package gatewaytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"gateway"
)

// SinkUnderTest is how TestSink gets at an implementation.
type SinkUnderTest struct {
	// New makes a sink for a fresh endpoint that works, and a function that waits for at least n delivered events and returns all.
	New func(t *testing.T) (s gateway.Sink, received func(n int) []gateway.Event)
	// NewUnreachable makes a sink for an endpoint that cannot be reached. May be nil.
	NewUnreachable func(t *testing.T) gateway.Sink
	// KeepsOnlyData says that what is received has no attributes, so that only Data is compared.
	KeepsOnlyData bool
}

// deadline bounds every wait of the suite.
const deadline = 20 * time.Second

// TestSink is the conformance suite of gateway.Sink.
func TestSink(t *testing.T, u SinkUnderTest) {
	t.Run("delivers batches whole and in order", func(t *testing.T) {
		t.Parallel()
		s, received := u.New(t)
		defer closeSink(t, s)
		var want []gateway.Event
		for _, size := range []int{1, 2, 700, 1} {
			batch := Entries(len(want)+1, size)
			if err := s.Send(within(t), batch); err != nil {
				t.Fatalf("send %d events: %v", size, err)
			}
			for _, e := range batch {
				want = append(want, e.Event)
			}
		}
		u.compare(t, received(len(want)), want)
	})
	t.Run("an empty batch is delivered", func(t *testing.T) {
		t.Parallel()
		s, _ := u.New(t)
		defer closeSink(t, s)
		if err := s.Send(within(t), nil); err != nil {
			t.Errorf("got %v, want nil", err)
		}
	})
	t.Run("large events", func(t *testing.T) {
		t.Parallel()
		s, received := u.New(t)
		defer closeSink(t, s)
		batch := Entries(1, 5)
		for i := range batch {
			batch[i].Event.Data = bytes.Repeat([]byte{byte('a' + i)}, 250<<10)
		}
		if err := s.Send(within(t), batch); err != nil {
			t.Fatal(err)
		}
		u.compare(t, received(5), eventsOf(batch))
	})
	t.Run("a context that has ended ends Send, and the next works", func(t *testing.T) {
		t.Parallel()
		s, received := u.New(t)
		defer closeSink(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Send(ctx, Entries(1, 3)); errors.Is(err, gateway.ErrPermanent) {
			t.Errorf("got %v, which is permanent: shutdown is not the event's fault", err)
		}
		batch := Entries(10, 3)
		if err := s.Send(within(t), batch); err != nil {
			t.Fatal(err)
		}
		all := received(3)
		u.compare(t, all[len(all)-3:], eventsOf(batch))
	})
	t.Run("closed", func(t *testing.T) {
		t.Parallel()
		s, _ := u.New(t)
		if err := s.Send(within(t), Entries(1, 1)); err != nil {
			t.Fatal(err)
		}
		closeSink(t, s)
		closeSink(t, s)
		if err := s.Send(within(t), Entries(2, 1)); !errors.Is(err, gateway.ErrClosed) {
			t.Errorf("send after close: got %v, want ErrClosed", err)
		}
	})
	t.Run("unreachable", func(t *testing.T) {
		t.Parallel()
		u.unreachable(t)
	})
}

func (u SinkUnderTest) unreachable(t *testing.T) {
	if u.NewUnreachable == nil {
		t.Skip("this kind of sink has no endpoint that cannot be reached")
	}
	s := u.NewUnreachable(t)
	defer closeSink(t, s)
	for range 2 {
		err := s.Send(within(t), Entries(1, 2))
		if err == nil || errors.Is(err, gateway.ErrPermanent) {
			t.Errorf("got %v, want an error that is not permanent", err)
		}
	}
}

func (u SinkUnderTest) compare(t *testing.T, got, want []gateway.Event) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("received %d events, want %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i].Data, want[i].Data) {
			t.Fatalf("event %d: got data %.40q, want %.40q", i, got[i].Data, want[i].Data)
		}
		if !u.KeepsOnlyData && (got[i].ID != want[i].ID || got[i].Source != want[i].Source || !got[i].Time.Equal(want[i].Time)) {
			t.Fatalf("event %d: got %+v, want %+v", i, got[i], want[i])
		}
	}
}

// Entries makes n entries with offsets from first, each with its own ID and data.
func Entries(first, n int) []gateway.Entry {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	batch := make([]gateway.Entry, n)
	for i := range batch {
		k := first + i
		batch[i] = gateway.Entry{
			Offset: gateway.Offset(k), Received: now,
			Event: gateway.Event{
				ID: fmt.Sprintf("id-%d", k), Source: "//test", Type: "test.reading", Subject: fmt.Sprintf("test/%d", k%7),
				Time: now, DataContentType: "text/plain", Data: fmt.Appendf(nil, "reading %d", k),
			},
		}
	}
	return batch
}

func eventsOf(batch []gateway.Entry) []gateway.Event {
	events := make([]gateway.Event, len(batch))
	for i := range batch {
		events[i] = batch[i].Event
	}
	return events
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	return ctx
}

func closeSink(t *testing.T, s gateway.Sink) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

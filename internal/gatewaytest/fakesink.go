package gatewaytest

import (
	"context"
	"slices"
	"sync"

	"gateway"
)

// FakeSink is a sink of a function. It keeps what was delivered.
type FakeSink struct {
	// SendFunc answers for a batch; nil delivers everything.
	SendFunc func(ctx context.Context, batch []gateway.Entry) error

	mu        sync.Mutex // guards what follows
	sends     [][]gateway.Offset
	delivered []gateway.Entry
	closed    bool
}

var _ gateway.Sink = (*FakeSink)(nil)

// Name is "fake".
func (s *FakeSink) Name() string { return "fake" }

// Send implements gateway.Sink.
func (s *FakeSink) Send(ctx context.Context, batch []gateway.Entry) error {
	offsets := make([]gateway.Offset, len(batch))
	for i := range batch {
		offsets[i] = batch[i].Offset
	}
	s.mu.Lock()
	s.sends = append(s.sends, offsets)
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return gateway.ErrClosed
	}
	var err error
	if s.SendFunc != nil {
		err = s.SendFunc(ctx, batch)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	parts, inPart := err.(*gateway.BatchError) //nolint:errorlint // a sink returns it as it is
	for i := range batch {
		if err == nil || inPart && parts.Errors[i] == nil {
			s.delivered = append(s.delivered, batch[i])
		}
	}
	return err
}

// Sends are the offsets of each Send so far.
func (s *FakeSink) Sends() [][]gateway.Offset {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sends)
}

// Delivered are the entries that SendFunc had no error for, in the order of their delivery.
func (s *FakeSink) Delivered() []gateway.Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.delivered)
}

// Close implements gateway.Sink.
func (s *FakeSink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

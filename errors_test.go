package gateway_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"gateway"
)

func TestClassesOfErrors(t *testing.T) {
	t.Parallel()
	cause := fmt.Errorf("send batch: %w", io.ErrUnexpectedEOF)
	for _, tt := range []struct {
		name        string
		mark        func(error) error
		class, none error
	}{
		{"Permanent", gateway.Permanent, gateway.ErrPermanent, gateway.ErrBlocked},
		{"Blocked", gateway.Blocked, gateway.ErrBlocked, gateway.ErrPermanent},
	} {
		err := fmt.Errorf("forward: %w", tt.mark(cause))
		if !errors.Is(err, tt.class) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: got %v, want its class and its cause to be found in it", tt.name, err)
		}
		if errors.Is(err, tt.none) || errors.Is(cause, tt.class) {
			t.Errorf("%s: an error of no class, or of another, was found to have it", tt.name)
		}
		if got, want := err.Error(), "forward: send batch: unexpected EOF"; got != want {
			t.Errorf("%s: got %q, want %q: a class has no text of its own", tt.name, got, want)
		}
		if err := tt.mark(nil); err != nil {
			t.Errorf("%s(nil): got %v, want nil", tt.name, err)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("send: %w", &gateway.RetryAfter{After: 90 * time.Second, Err: io.ErrClosedPipe})
	var after *gateway.RetryAfter
	if !errors.As(err, &after) || after.After != 90*time.Second || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v, want the time and the cause to be found in it", err)
	}
	if got, want := err.Error(), "send: io: read/write on closed pipe (again in 1m30s)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestBatchErrorCountsAndShowsTheFirst(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		errs []error
		want string
	}{
		{[]error{nil, io.EOF, nil, io.ErrShortWrite}, "2 of 4 events not delivered: EOF"},
		{[]error{io.ErrShortWrite}, "1 of 1 events not delivered: short write"},
	} {
		if got := (&gateway.BatchError{Errors: tt.errs}).Error(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

package forwarder

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"gateway"
	"gateway/internal/gatewaytest"
)

// damagedLog is a log whose readers fail for a while.
type damagedLog struct {
	*gatewaytest.FakeLog
	failures int // that are left; of the reading goroutine and the forwarder's, one after the other
}

type damagedReader struct {
	gateway.Reader
	log *damagedLog
}

func (l *damagedLog) NewReader(after gateway.Offset) gateway.Reader {
	return damagedReader{l.FakeLog.NewReader(after), l}
}

func (r damagedReader) Next(ctx context.Context, max int) ([]gateway.Entry, error) {
	if r.log.failures > 0 {
		r.log.failures--
		return nil, errors.New("block at offset 1 is damaged")
	}
	return r.Reader.Next(ctx, max)
}

// A damaged block once ended the whole process, intake included, and every start after it.
func TestDamagedBlockStopsOnlyItsForwarder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil, func(o *Options, log *gatewaytest.FakeLog) { o.Log = &damagedLog{log, 3} })
		w.feedN(5)
		pass(time.Second)
		if s := w.f.Status(); s.State != gateway.StateBlocked || s.LastError != "block at offset 1 is damaged" {
			t.Errorf("got %s (%s), want blocked by the damaged block", s.State, s.LastError)
		}
		if n := w.out.lines("the log cannot be read here"); n != 1 {
			t.Errorf("got %d lines about it, want 1", n)
		}
		pass(3 * time.Minute)
		if s := w.end(); s.Delivered != 5 || s.Failures != 3 {
			t.Errorf("got %d delivered after %d failures, want 5 after 3", s.Delivered, s.Failures)
		}
	})
}

package mqttsource

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gateway"
	"gateway/internal/gatewaytest"
)

func TestFullLogHoldsTheBrokerUp(t *testing.T) {
	t.Parallel()
	m := startMosquitto(t, "allow_anonymous true\n")
	log, out := gatewaytest.NewLog(), &lockedBuffer{}
	var refusals atomic.Int64
	log.RefuseSubmit(func(gateway.Batch) error { refusals.Add(1); return gateway.ErrFull })
	o := options(m.addr)
	o.Logger = slog.New(slog.NewTextHandler(out, nil))
	s, stop := run(t, o, log)
	p := newPublisher(t, m.addr, nil)
	p.publish("t", false, numbers(0, 500)...)
	until(t, func() string { return fmt.Sprint(refusals.Load(), " refusals") }, func() bool { return refusals.Load() > 4 })
	if got := s.Status(); !got.Full || got.Stored > 0 || got.Received > 20 {
		t.Errorf("got %+v, want nothing stored, and no more than the 20 that the broker has in flight", got)
	}
	stop() // the broker keeps them
	s, _ = run(t, o, log)
	until(t, func() string { return "full again" }, func() bool { return s.Status().Full })
	log.RefuseSubmit(nil)
	if got := stored(t, log, 500); !slices.Equal(got, numbers(0, 500)) {
		t.Errorf("got %d events, want the 500 in their order: %.300q", len(got), got)
	}
	if got := s.Status(); got.Full || got.Reconnects > 0 {
		t.Errorf("got %+v, want it on the same connection", got)
	}
	if n := out.lines("level=WARN", "log is full"); n != 2 {
		t.Errorf("got %d warnings of a full log in two runs, want 2:\n%s", n, out)
	}
}

func TestWaitingMessagesShareOneAppend(t *testing.T) {
	t.Parallel()
	m := startMosquitto(t, "allow_anonymous true\nmax_inflight_messages 0\n")
	log, gate, entered := gatewaytest.NewLog(), make(chan struct{}), make(chan struct{}, 1000)
	s, _ := run(t, options(m.addr), hooked{Appender: log, before: func([]gateway.Event) {
		entered <- struct{}{}
		<-gate
	}})
	p := newPublisher(t, m.addr, nil)
	p.publish("t", false, "0")
	<-entered // and the rest comes during this append
	p.publish("t", false, numbers(1, 1500)...)
	until(t, func() string { return fmt.Sprintf("%+v", s.Status()) }, func() bool { return s.Status().Received > 1000 })
	close(gate)
	if got := stored(t, log, 1501); !slices.Equal(got, numbers(0, 1501)) {
		t.Errorf("got %d events, want 1501 in their order", len(got))
	}
	sizes, most := []int{}, 0
	for _, b := range log.Batches() {
		sizes = append(sizes, len(b.Events))
		most = max(most, len(b.Events))
	}
	t.Logf("appends of %v events", sizes)
	if most != 1000 || len(sizes) > 20 {
		t.Errorf("got appends of %v events, want them gathered, 1000 at most", sizes)
	}
}

func TestEventThatTheLogCanNeverTakeDoesNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	m := startMosquitto(t, "allow_anonymous true\nmax_inflight_messages 0\n")
	log, out := gatewaytest.NewLog(), &lockedBuffer{}
	log.RefuseSubmit(func(b gateway.Batch) error {
		if slices.ContainsFunc(b.Events, func(e gateway.Event) bool { return string(e.Data) == "unfit" }) {
			return gateway.Permanent(errors.New("too large for the log"))
		}
		return nil
	})
	o := options(m.addr)
	o.MaxPacket, o.Logger = 2000, slog.New(slog.NewTextHandler(out, nil))
	s, stop := run(t, o, log)
	p := newPublisher(t, m.addr, nil)
	p.publish("t", false, "0", "1", "unfit", "2", strings.Repeat("x", 300_000), "3")
	if got := stored(t, log, 4); !slices.Equal(got, numbers(0, 4)) {
		t.Errorf("got %q, want 0 to 3", got)
	}
	p.client.Publish("t", 0, false, strings.Repeat("x", 3000)).WaitTimeout(patience)
	p.publish("t", false, "4")
	stored(t, log, 5)
	if got := s.Status(); got.Refused != 3 || got.Stored != 5 || got.Received != 8 || got.Reconnects != 0 {
		t.Errorf("got %+v, want 8 received, 5 stored, 3 refused", got)
	}
	if n := out.lines("level=ERROR", "too large"); n != 1 {
		t.Errorf("got %d lines, want one:\n%s", n, out)
	}
	stop()
	s, _ = run(t, o, log)
	p.publish("t", false, "5")
	if got := stored(t, log, 6); got[5] != "5" || s.Status().Received != 1 {
		t.Errorf("got %q, %+v: want the refused to be acknowledged", got, s.Status())
	}
}

// TestBrokerThatForgotItsSessions restarts a broker without persistence while messages wait for a full log: it will not
// send them again, so they are kept here.
func TestBrokerThatForgotItsSessions(t *testing.T) {
	t.Parallel()
	const config = "allow_anonymous true\npersistence false\n"
	m := startMosquitto(t, config)
	log := gatewaytest.NewLog()
	log.RefuseSubmit(func(gateway.Batch) error { return gateway.ErrFull })
	s, _ := run(t, options(m.addr), log)
	newPublisher(t, m.addr, nil).publish("t", false, numbers(0, 15)...)
	until(t, func() string { return fmt.Sprintf("%+v", s.Status()) }, func() bool { return s.Status().Received == 15 })
	m.stop()
	inState(t, s, StateConnecting)
	if !m.start(t, config) {
		t.Skipf("the port of the broker was taken: %s", m.out)
	}
	inState(t, s, StateConnected)
	newPublisher(t, m.addr, nil).publish("t", false, "15")
	log.RefuseSubmit(nil)
	if got := stored(t, log, 16); !slices.Equal(got, numbers(0, 16)) {
		t.Errorf("got %q, want 0 to 15", got)
	}
}

func TestFailedLogEndsTheSource(t *testing.T) {
	t.Parallel()
	m := startMosquitto(t, "allow_anonymous true\n")
	broken := errors.New("the disk is broken")
	log := gatewaytest.NewLog()
	log.RefuseSubmit(func(gateway.Batch) error { return broken })
	s, err := New(options(m.addr))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(t.Context(), log) }()
	inState(t, s, StateConnected)
	newPublisher(t, m.addr, nil).publish("t", false, "1")
	select {
	case err := <-ended:
		if !errors.Is(err, broken) {
			t.Errorf("got %v, want %v", err, broken)
		}
	case <-time.After(patience):
		t.Fatal("the source goes on")
	}
}

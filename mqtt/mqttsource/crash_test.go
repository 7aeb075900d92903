package mqttsource

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"gateway"
	"gateway/internal/faultproxy"
	"gateway/internal/gatewaytest"
)

// hooked is a log that calls before with what it is given, and after when that is durable.
type hooked struct {
	gateway.Appender
	before, after func(events []gateway.Event)
}

func (h hooked) Append(ctx context.Context, events ...gateway.Event) (gateway.Offset, error) {
	if h.before != nil {
		h.before(events)
	}
	last, err := h.Appender.Append(ctx, events...)
	if err == nil && h.after != nil {
		h.after(events)
	}
	return last, err
}

// TestAppendedBeforeAcknowledged kills the connection between the append and the acknowledgement: the broker sends the
// message again, and its ID tells that it is stored. The same holds over a restart, by what the log remembers; a raw
// payload is stored again.
func TestAppendedBeforeAcknowledged(t *testing.T) {
	t.Parallel()
	m := startMosquitto(t, "allow_anonymous true\n")
	proxy, err := faultproxy.New(m.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Close() })
	log := gatewaytest.NewLog()
	var cut atomic.Bool
	o := options(proxy.Addr())
	s, _ := run(t, o, hooked{Appender: log, after: func([]gateway.Event) {
		if cut.Swap(false) {
			proxy.Cut(faultproxy.Reset)
		}
	}})
	p := newPublisher(t, m.addr, nil)
	cut.Store(true)
	p.publish("t", false, cloudEvent("1", "1"))
	until(t, func() string { return fmt.Sprintf("a duplicate: %+v", s.Status()) }, func() bool { return s.Status().Duplicates == 1 })
	cut.Store(true)
	p.publish("t", false, "raw")
	if got, want := stored(t, log, 3), []string{"1", "raw", "raw"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCrashBetweenAppendAndAcknowledgement(t *testing.T) {
	t.Parallel()
	m := startMosquitto(t, "allow_anonymous true\n")
	proxy, err := faultproxy.New(m.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Close() })
	log, o := gatewaytest.NewLog(), options(proxy.Addr())
	_, stop := run(t, o, hooked{Appender: log, after: func([]gateway.Event) { proxy.SetDown() }})
	newPublisher(t, m.addr, nil).publish("t", false, cloudEvent("1", "1"))
	stored(t, log, 1)
	stop()
	proxy.SetUp()
	o.Recent = log.Recent
	s, _ := run(t, o, log)
	until(t, func() string { return fmt.Sprintf("a duplicate: %+v", s.Status()) }, func() bool { return s.Status().Duplicates == 1 })
	if n := len(events(log)); n != 1 {
		t.Errorf("got %d events, want the one", n)
	}
}

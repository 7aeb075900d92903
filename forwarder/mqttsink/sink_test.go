package mqttsink

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"gateway"
	"gateway/internal/gatewaytest"
)

func options(t testing.TB, addr string) Options {
	t.Helper()
	o := Default()
	o.URL = "tcp://" + addr
	o.ClientID = "sink"
	o.AckTimeout, o.ConnectTimeout = 5*time.Second, 5*time.Second
	o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	return o
}

func newSink(t testing.TB, o Options) *Sink {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, format := range []string{FormatRaw, FormatCloudEvents} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			gatewaytest.TestSink(t, gatewaytest.SinkUnderTest{
				KeepsOnlyData: format == FormatRaw,
				New: func(t *testing.T) (gateway.Sink, func(int) []gateway.Event) {
					m := startMosquitto(t, t.TempDir(), "allow_anonymous true\n")
					r := subscribe(t, m.addr, nil)
					o := options(t, m.addr)
					o.Format, o.Window = format, 64
					return newSink(t, o), func(n int) []gateway.Event { return parse(t, format, r.waitFor(t, n)) }
				},
				NewUnreachable: func(t *testing.T) gateway.Sink { return newSink(t, options(t, freeAddr(t))) },
			})
		})
	}
}

func parse(t *testing.T, format string, messages []message) []gateway.Event {
	t.Helper()
	events := make([]gateway.Event, len(messages))
	for i, m := range messages {
		if format == FormatRaw {
			events[i] = gateway.Event{Data: []byte(m.payload)}
			continue
		}
		var err error
		if events[i], err = gateway.ParseJSON([]byte(m.payload)); err != nil {
			t.Fatalf("message %d: %v: %.200q", i, err, m.payload)
		}
	}
	return events
}

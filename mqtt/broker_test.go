package mqtt

import (
	"context"
	"log/slog"
	"testing"
)

// startBroker starts a broker on loopback. At the end of the test it must stop without an error, and its counters must
// add up.
func startBroker(t testing.TB, o Options, log Log) (*Broker, string) {
	t.Helper()
	o.GatewayID = "gw"
	if o.Listeners == nil {
		o.Listeners = []Listener{{Address: "127.0.0.1:0"}}
	}
	if o.Policy == nil {
		o.Policy = setupPolicy(t, setup{})
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	b, err := New(o, log)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: got %v, want nil", err)
		}
		checkStatus(t, b.Status())
	})
	return b, b.Addrs()[0].String()
}

package demo

import (
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// upstream is a plain MQTT broker, as somebody runs it in a data centre. It stores nothing and lets everybody in, on
// loopback alone.
type upstream struct {
	server *mochi.Server
	addr   string
}

func startUpstream() (*upstream, error) {
	capabilities := mochi.NewDefaultServerCapabilities()
	// Room for a drain at full speed: at its defaults it drops what a subscriber has not taken yet.
	capabilities.ReceiveMaximum, capabilities.MaximumInflight, capabilities.MaximumClientWritesPending = 65535, 65535, 65536
	server := mochi.New(&mochi.Options{Capabilities: capabilities, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err := server.AddHook(new(openDoor), nil); err != nil {
		return nil, fmt.Errorf("start the upstream broker: %w", err)
	}
	listener := listeners.NewTCP(listeners.Config{ID: "tcp", Address: "127.0.0.1:0"})
	if err := server.AddListener(listener); err != nil {
		return nil, fmt.Errorf("start the upstream broker: %w", err)
	}
	if err := server.Serve(); err != nil {
		return nil, fmt.Errorf("start the upstream broker: %w", err)
	}
	return &upstream{server: server, addr: listener.Address()}, nil
}

// dropped counts what this broker threw away. If it is not 0, the ledger says nothing about the gateway.
func (u *upstream) dropped() int64 {
	return atomic.LoadInt64(&u.server.Info.MessagesDropped) + atomic.LoadInt64(&u.server.Info.InflightDropped)
}

// taken counts the publishes that came in.
func (u *upstream) taken() int64 { return atomic.LoadInt64(&u.server.Info.MessagesReceived) }

func (u *upstream) close() error { return u.server.Close() }

// openDoor lets everybody in.
type openDoor struct{ mochi.HookBase }

func (*openDoor) ID() string { return "open-door" }

func (*openDoor) Provides(b byte) bool {
	return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck
}

func (*openDoor) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool { return true }

func (*openDoor) OnACLCheck(*mochi.Client, string, bool) bool { return true }

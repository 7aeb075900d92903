package demo

import (
	"context"
	"encoding/json"
	"fmt"

	paho "github.com/eclipse/paho.mqtt.golang"

	"gateway"
)

// listener is the application behind the upstream broker: it subscribes to everything, directly, and writes down what comes.
type listener struct{ link *link }

func startListener(ctx context.Context, addr string, b *book) (*listener, error) {
	link, err := dial(ctx, addr, "demo-listener")
	if err != nil {
		return nil, err
	}
	take := func(_ paho.Client, m paho.Message) { record(b, m.Payload()) }
	if err := await(ctx, link.client.Subscribe("#", 1, take)); err != nil {
		link.close()
		return nil, fmt.Errorf("subscribe at the upstream broker: %w", err)
	}
	return &listener{link}, nil
}

// deaf says whether the listener has lost its own connection, so that what it did not hear proves nothing.
func (l *listener) deaf() bool {
	select {
	case <-l.link.lost:
		return true
	default:
		return false
	}
}

// record reads a structured CloudEvent with a sensor's payload.
func record(b *book, text []byte) {
	e, err := gateway.ParseJSON(text)
	if err != nil {
		b.stray()
		return
	}
	var p struct {
		Device string `json:"device"`
		Seq    int    `json:"seq"`
	}
	if err := json.Unmarshal(e.Data, &p); err != nil {
		b.stray()
		return
	}
	b.received(p.Device, p.Seq, e.ID)
}

package demo

import (
	"context"
	"fmt"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// mqttTimeout bounds each wait for a broker.
const mqttTimeout = 5 * time.Second

// link is one connection of an MQTT client. It never reconnects by itself: paho reports a publish as done when the
// connection drops under an AutoReconnect client, so each connection gets a client of its own.
type link struct {
	client paho.Client
	lost   chan struct{} // closed when the connection is gone; every token is complete by then
}

// dial connects to the broker at addr, with a clean session.
func dial(ctx context.Context, addr, clientID string) (*link, error) {
	l := &link{lost: make(chan struct{})}
	o := paho.NewClientOptions().AddBroker("tcp://" + addr).SetClientID(clientID).SetCleanSession(true).
		SetAutoReconnect(false).SetConnectRetry(false).
		SetConnectTimeout(mqttTimeout).SetWriteTimeout(mqttTimeout).
		SetConnectionLostHandler(func(paho.Client, error) { close(l.lost) })
	l.client = paho.NewClient(o)
	if err := await(ctx, l.client.Connect()); err != nil {
		l.close()
		return nil, fmt.Errorf("connect %s to %s: %w", clientID, addr, err)
	}
	return l, nil
}

// close says goodbye, if there is somebody to say it to.
func (l *link) close() { l.client.Disconnect(100) }

// await waits for a token, within bounds.
func await(ctx context.Context, token paho.Token) error {
	timer := time.NewTimer(mqttTimeout)
	defer timer.Stop()
	select {
	case <-token.Done():
		return token.Error()
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return fmt.Errorf("no answer within %s", mqttTimeout)
	}
}

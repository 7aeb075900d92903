package mqtt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gateway"
)

const (
	// ackPatience is how long devices may take to acknowledge what a local sink published, ackLook how often that is looked at.
	ackPatience = 10 * time.Second
	ackLook     = 5 * time.Millisecond
)

// errNoAck is why an event waits that a device has to acknowledge.
var (
	errNoAck     = errors.New("a device that subscribed to it has not acknowledged it (wait_for: acknowledgement)")
	errNobodyNow = errors.New("no device that subscribed to it with QoS 1 or 2 is connected (wait_for: acknowledgement)")
)

// expected is an acknowledgement that a client owes: of the publish with that packet id, made then.
type expected struct {
	client  string
	id      uint16
	created int64
}

// listening says whether a connected client has a subscription with QoS 1 or 2 that matches the topic.
func (r *router) listening(topic string) bool {
	found := false
	r.eachListener(topic, func(string) { found = true })
	return found
}

// eachListener calls fn with the ids of the clients that are connected and have subscribed to the topic with QoS 1 or 2.
func (r *router) eachListener(topic string, fn func(client string)) {
	r.hold.Lock()
	defer r.hold.Unlock()
	for client, sub := range r.b.server.Topics.Subscribers(topic).Subscriptions {
		if cl, ok := r.b.server.Clients.Get(client); ok && sub.Qos > 0 && !cl.Closed() {
			fn(client)
		}
	}
}

// owed is what clients that are connected have not acknowledged of publishes to the topics.
func (r *router) owed(topics map[string]bool) (owed []expected) {
	clients := map[string]bool{}
	for topic := range topics {
		r.eachListener(topic, func(client string) { clients[client] = true })
	}
	for client := range clients {
		cl, ok := r.b.server.Clients.Get(client)
		if !ok {
			continue
		}
		for _, pk := range cl.State.Inflight.GetAll(false) {
			if topics[pk.TopicName] || pk.TopicName == "" { // with a topic alias there is no name
				owed = append(owed, expected{client, pk.PacketID, pk.Created})
			}
		}
	}
	return owed
}

// paid says whether the client has acknowledged, or is gone with its session: then nobody is there to do so.
func (r *router) paid(e expected) bool {
	cl, ok := r.b.server.Clients.Get(e.client)
	if !ok {
		return true
	}
	pk, there := cl.State.Inflight.Get(e.id)
	return !there || pk.Created != e.created
}

// acknowledged waits until the devices have acknowledged what was published to the topics.
func (l *localSink) acknowledged(ctx context.Context, topics map[string]bool) error {
	owed := l.b.router.owed(topics)
	if len(owed) == 0 {
		return nil
	}
	ticker := time.NewTicker(ackLook)
	defer ticker.Stop()
	for deadline := time.Now().Add(ackPatience); ; {
		for len(owed) > 0 && l.b.router.paid(owed[0]) {
			owed = owed[1:]
		}
		switch {
		case len(owed) == 0:
			return nil
		case time.Now().After(deadline):
			return later(fmt.Errorf("publish locally to client %.64q: %w", owed[0].client, errNoAck))
		case l.closed.Load():
			return fmt.Errorf("publish locally: %w", gateway.ErrClosed)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("publish locally: %w", context.Cause(ctx))
		}
	}
}

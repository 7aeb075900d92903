package mqtt

import (
	"fmt"
	"strings"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"gateway"
)

// subscriptionsEach is how many subscriptions a session may have.
const subscriptionsEach = 1000

// OnSubscribe makes filters that mochi would accept, but MQTT or the bound does not, ones that it refuses.
func (h *hooks) OnSubscribe(cl *mochi.Client, pk packets.Packet) packets.Packet {
	c := connOf(cl)
	have := cl.State.Subscriptions.Len()
	for i := range pk.Filters {
		filter := pk.Filters[i].Filter
		plain, ok := withoutShare(filter)
		if !ok || gateway.ValidFilter(plain) != nil || strings.Count(filter, "/") >= topicLevels {
			h.b.unheard.report(c.about(filter) + ": not a filter that can be subscribed to")
			pk.Filters[i].Filter = ""
			continue
		}
		if _, again := cl.State.Subscriptions.Get(filter); again {
			continue
		}
		if have++; have > subscriptionsEach {
			h.b.unheard.report(c.about(filter) + fmt.Sprintf(": the session has %d subscriptions, the most allowed", subscriptionsEach))
			pk.Filters[i].Filter = ""
		}
	}
	return pk
}

// OnSubscribed counts the sessions that subscribe: while there is none, only retained publishes are routed.
func (h *hooks) OnSubscribed(cl *mochi.Client, pk packets.Packet, reasons []byte) {
	c := connOf(cl)
	for i, reason := range reasons {
		switch {
		case reason < packets.ErrUnspecifiedError.Code && !c.s.subscribed:
			c.s.subscribed = true
			h.b.subscribers.Add(1)
		case reason >= packets.ErrUnspecifiedError.Code && pk.Filters[i].Filter != "":
			h.b.unheard.report(c.about(pk.Filters[i].Filter) + ": no access rule allows it")
		}
	}
}

// about names the client and a topic for the log.
func (c *conn) about(topic string) string {
	return fmt.Sprintf("user %.64q, client %.64q, topic %.128q", c.user, c.id, topic)
}

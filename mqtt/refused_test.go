package mqtt

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"
)

// TestRefusalsAreNamed: whoever looks for why a device does not work finds its user, its client id and its topic in the log.
func TestRefusalsAreNamed(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		var said safeBuilder
		policy := setupPolicy(t, setup{
			users: map[string]string{"hall": "secret"},
			rules: []Rule{{User: "hall", Access: AccessReadWrite, Topic: "hall/#"}},
		})
		_, addr := startBroker(t, Options{Policy: policy, Logger: slog.New(slog.NewTextHandler(&said, nil))}, newFakeLog(t))
		wrong := dialRaw(t, addr, version, patience, nil)
		wrong.send(wrong.connectFrame(hello{id: "dev-1", user: "hall", password: "guessed"}))
		wrong.expectClosed()
		c := dialRaw(t, addr, version, patience, nil)
		c.connect(hello{id: "dev-2", user: "hall", password: "secret"})
		c.send(c.subscribeFrame(1, 0, "cellar/#"))
		if r := c.expect(packets.Suback); len(r.codes) != 1 || r.codes[0] < 0x80 {
			t.Fatalf("MQTT %d: got %v, want a refusal", version, r)
		}
		c.publish(message{topic: "cellar/light", payload: "on", qos: 1, id: 1})
		if version == 5 {
			c.expect(packets.Puback)
		} else {
			c.expectClosed()
		}
		for _, want := range []string{
			`user \"hall\", client \"dev-1\": wrong user name or password`,
			`user \"hall\", client \"dev-2\", topic \"cellar/#\"`,
			`user \"hall\", client \"dev-2\", topic \"cellar/light\"`,
		} {
			eventually(t, patience, "the log has "+want, func() bool { return strings.Contains(said.String(), want) })
		}
		if strings.Contains(said.String(), "guessed") {
			t.Errorf("MQTT %d: the password is in the log", version)
		}
	}
}

// TestSubscriptionsAreBounded: a session has so many and no more; one of them may be made again, or ended for another.
func TestSubscriptionsAreBounded(t *testing.T) {
	t.Parallel()
	var said safeBuilder
	_, addr := startBroker(t, Options{Logger: slog.New(slog.NewTextHandler(&said, nil))}, newFakeLog(t))
	c := dialRaw(t, addr, 4, patience, nil)
	c.connect(hello{id: "greedy"})
	for i := 0; i < subscriptionsEach; i += 100 {
		filters := make([]string, 100)
		for j := range filters {
			filters[j] = fmt.Sprint("t/", i+j)
		}
		c.subscribe(0, filters...)
	}
	c.send(c.subscribeFrame(2, 0, "t/0", "one/more"))
	if r := c.expect(packets.Suback); len(r.codes) != 2 || r.codes[0] != 0 || r.codes[1] != 0x80 {
		t.Fatalf("got %v, want the first granted again and the other refused", r)
	}
	if want := "the session has 1000 subscriptions, the most allowed"; !strings.Contains(said.String(), want) {
		t.Errorf("got the log %q, want it to say %q", said.String(), want)
	}
	c.send(encodeFrame(packets.Unsubscribe, 2, number(3), text("t/0")))
	c.expect(packets.Unsuback)
	c.subscribe(0, "one/more")
}

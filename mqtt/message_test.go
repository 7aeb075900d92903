package mqtt

import (
	"testing"

	"gateway"
)

func TestMessagesOfAnotherBroker(t *testing.T) {
	t.Parallel()
	const cloudEvent = ` {"specversion":"1.0","id":"7","source":"//plant/a","type":"cmd","subject":"valve","mqtttopic":"old","data":{"open":true}}`
	m := NewMessages("//gw/source/up")
	for _, c := range []struct {
		name, payload string
		look          bool
		id, source    string
		extensions    map[string]string
	}{
		{"raw", "21.5", true, "", "//gw/source/up", map[string]string{ExtQoS: "1"}},
		{"json", `{"specversion_":"1.0"}`, true, "", "//gw/source/up", map[string]string{ExtQoS: "1", ExtCloudEventsError: ""}},
		{"a CloudEvent", cloudEvent, true, "7", "//plant/a", map[string]string{ExtClient: "//gw/source/up", gateway.ExtTopic: "cloud/cmd", ExtQoS: "1"}},
		{"not looked at", cloudEvent, false, "", "//gw/source/up", map[string]string{ExtClient: "", gateway.ExtTopic: ""}},
		{"without an id", `{"specversion":"1.0","source":"s","type":"t"}`, true, "", "//gw/source/up",
			map[string]string{ExtCloudEventsError: "invalid event: id is missing"}},
	} {
		e := m.Event("cloud/cmd", []byte(c.payload), 1, false, c.look)
		if err := e.Validate(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if e.ID != c.id || e.Source != c.source || e.Topic() != "cloud/cmd" {
			t.Errorf("%s: got id %q, source %q, topic %q; want %q, %q, cloud/cmd", c.name, e.ID, e.Source, e.Topic(), c.id, c.source)
		}
		for name, want := range c.extensions {
			if got := e.Extensions[name]; got != want {
				t.Errorf("%s: extension %s: got %q, want %q", c.name, name, got, want)
			}
		}
	}
}

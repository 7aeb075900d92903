package gateway_test

import (
	"strings"
	"testing"

	"gateway"
)

func TestLoops(t *testing.T) {
	t.Parallel()
	self, b := gateway.Identity{ID: "pi 1", Log: "a1b2"}, gateway.Identity{ID: "b", Log: "c3"}
	own := gateway.Event{ID: "a1b2.1-7", Source: "//pi%201/mqtt/x", Type: "t"}
	wrap := func(e gateway.Event, by string) gateway.Event {
		data, err := e.AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		return gateway.Event{ID: "w", Source: "//" + by + "/mqtt/y", Type: "mqtt.publish", Data: data}
	}
	device := gateway.Event{ID: "2", Source: "urn:device", Type: "t"}
	passed := device
	passed.Pass(self)
	if passed.Extensions[gateway.ExtPath] != "pi%201~a1b2" || passed.Extensions[gateway.ExtHops] != "1" || device.Extensions != nil {
		t.Errorf("got %v, want the path pi%%201~a1b2 and one hop", passed.Extensions)
	}
	twice := passed
	twice.Pass(b)
	if twice.Extensions[gateway.ExtPath] != "pi%201~a1b2 b~c3" || twice.Extensions[gateway.ExtHops] != "2" {
		t.Errorf("got %v, want the path of two", twice.Extensions)
	}
	own.Pass(self)
	if own.Extensions != nil {
		t.Errorf("got %v: who made an event stands in its source", own.Extensions)
	}
	twin := device
	twin.Pass(gateway.Identity{ID: "pi 1", Log: "d4"})
	far := device
	deep := device
	for range gateway.MaxHops {
		far.Pass(gateway.Identity{ID: "x"})
		deep = wrap(deep, "x")
	}
	for name, c := range map[string]struct {
		e    gateway.Event
		want string
	}{
		"own device that sends our source": {own, "this gateway made"},
		"own, wrapped":                     {wrap(own, "b"), "this gateway made"},
		"own, wrapped twice":               {wrap(wrap(own, "b"), "c"), "this gateway made"},
		"passed":                           {passed, "went through this gateway"},
		"passed by two":                    {twice, "went through this gateway"},
		"far":                              {far, "went through 8 gateways"},
		"deep":                             {wrap(deep, "x"), "went through 8 gateways"},
		"device":                           {device, ""},
		"another's":                        {wrap(device, "b"), ""},
		"another gateway of the same name": {gateway.Event{ID: "d4.1-7", Source: "//pi%201/mqtt/x", Type: "t"}, ""},
		"passed by one of the same name":   {twin, ""},
		"near the name":                    {gateway.Event{ID: "1", Source: "//pi%2010/x", Type: "t"}, ""},
	} {
		if got := c.e.LoopsFrom(self); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	if got := own.Loops(self); got != "" {
		t.Errorf("an event that the broker makes of a publish: got %q", got)
	}
}

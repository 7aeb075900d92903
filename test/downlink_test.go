package test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	vocabulary "gateway"
	"gateway/internal/load/wire"
	"gateway/test/rig"
)

// TestCommandsFromTheUpstream carries commands from an upstream Mosquitto to a device at the gateway's broker: in order, once, also those that came while
// the gateway was away or killed; one that is too old is not carried out; and what became of each goes back up as an event.
func TestCommandsFromTheUpstream(t *testing.T) {
	t.Parallel()
	needMosquitto(t)
	addr, err := rig.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	upstream, err := rig.StartMosquitto(t.Context(), t.TempDir(), "upstream", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(upstream.Kill)
	g := gateway(t)
	g.Name, g.Delivery = "pi", downlink(addr)
	b := start(t, &g)
	connected := func(s *state) bool { return len(s.Sources) == 1 && s.Sources[0].State == "connected" }
	waitFor(t, &g, "the source's connection", connected) // the upstream keeps its session from now on

	outcomes := listen(t, addr, "cloud", "gateway/outcome")
	cloud := dial(t, addr, "commander")
	device := listen(t, g.Addr, "valve", "cmd/#")
	const commands = 60
	for i := range commands {
		if i%20 == 10 { // commands come while nobody is there
			b.Kill()
		}
		command(t, cloud, i, time.Now().Add(time.Hour))
		if i%20 == 19 {
			b = restart(t, &g)
			device.again(t, g.Addr)
			waitFor(t, &g, "the source's connection", connected)
		}
	}
	command(t, cloud, 1000, time.Now().Add(-time.Minute)) // nobody wants that any more

	var carried []int
	ids := map[string]bool{}
	for len(carried) < commands {
		e := device.event(t)
		if ids[e.ID] { // the process was killed between the delivery and the note of it
			continue
		}
		ids[e.ID] = true
		carried = append(carried, sequenceOf(t, &e))
	}
	if !slices.IsSorted(carried) || carried[len(carried)-1] != commands-1 {
		t.Errorf("the device got %v, want 0 to %d in order", carried, commands-1)
	}
	results := map[string]string{}
	for len(results) < commands+1 {
		e := outcomes.event(t)
		var o vocabulary.Outcome
		if err := json.Unmarshal(e.Data, &o); err != nil || e.Type != vocabulary.TypeOutcome {
			t.Fatalf("got %+v, %v; want an outcome", e, err)
		}
		results[o.ID] = o.Result
	}
	for i := range commands {
		if r := results[fmt.Sprint("c", i)]; r != vocabulary.OutcomeDelivered {
			t.Errorf("the outcome of command %d is %q, want delivered", i, r)
		}
	}
	if r := results["c1000"]; r != vocabulary.DeadExpired {
		t.Errorf("the outcome of the old command is %q, want expired", r)
	}
	if s := status(t, &g); len(s.Forwarders) != 2 || s.Forwarders[0].Expired != 1 {
		t.Errorf("got %+v, want one expired", s.Forwarders)
	}
}

// downlink subscribes to commands at addr, hands them to devices, and sends what became of them back.
func downlink(addr string) string {
	return fmt.Sprintf(`sources:
  - {name: uplink, type: mqtt, url: "tcp://%s", topics: "cmd/#"}
forwarders:
  - name: commands
    match: "cmd/#"
    outcomes: all
    sink: {type: local, format: cloudevents, wait_for: acknowledgement}
  - name: cloud
    match: "gateway/outcome"
    retry: {min: 50ms, max: 500ms}
    sink: {type: mqtt, url: "tcp://%s"}
`, addr, addr)
}

// command publishes a command as a CloudEvent that says how long it is worth anything, and waits for the acknowledgement.
func command(t *testing.T, c *client, n int, expires time.Time) {
	t.Helper()
	e := vocabulary.Event{
		ID: fmt.Sprint("c", n), Source: "//cloud", Type: "command", Data: fmt.Append(nil, n), DataContentType: "application/json",
		Extensions: map[string]string{vocabulary.ExtExpiry: expires.UTC().Format(time.RFC3339)},
	}
	text, err := e.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.conn.Write(wire.AppendPublish(nil, "cmd/valve", uint16(n+1), 1, false, text)); err != nil {
		t.Fatal(err)
	}
	if first, _, err := c.reader.Next(); err != nil || first != wire.Puback {
		t.Fatalf("got packet 0x%02x, %v; want a PUBACK", first, err)
	}
}

func sequenceOf(t *testing.T, e *vocabulary.Event) (n int) {
	t.Helper()
	if err := json.Unmarshal(e.Data, &n); err != nil {
		t.Fatalf("data %q: %v", e.Data, err)
	}
	return n
}

package mqtt

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"gateway/buffer"
)

// TestBatchTooLargeForTheLogIsSplit: how many publishes are gathered into one batch is the broker's doing, so no client
// is disconnected over it. Acknowledgements keep their order, whatever stands between the publishes of the log.
func TestBatchTooLargeForTheLogIsSplit(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		for _, most := range []int{1, 2, 7} {
			log := newFakeLog(t)
			log.most = most
			b, addr := startBroker(t, Options{Capture: Capture{Exclude: []string{"chatter"}}}, log)
			sub := dialRaw(t, addr, 4, patience, nil)
			sub.connect(hello{id: "sub"})
			sub.subscribe(0, "a")
			c := dialRaw(t, addr, version, patience, nil)
			c.connect(hello{id: "c"})
			var burst [][]byte
			var want, stored []string
			for i := range 40 {
				id, payload := uint16(i+1), fmt.Sprint(i)
				stored = append(stored, payload)
				burst = append(burst, c.publishFrame(message{topic: "a", payload: payload, qos: byte(i % 3), id: id, retain: i%5 == 0}))
				switch i % 3 {
				case 1:
					want = append(want, fmt.Sprint("PUBACK ", id))
				case 2:
					burst = append(burst, c.publishFrame(message{topic: "chatter", payload: "x", qos: 1, id: id + 100}))
					burst = append(burst, encodeFrame(packets.Pubrel, 2, number(id)))
					want = append(want, fmt.Sprint("PUBREC ", id), fmt.Sprint("PUBACK ", id+100), fmt.Sprint("PUBCOMP ", id))
				}
			}
			c.send(burst...)
			for _, w := range want {
				r, err := c.read()
				if err != nil {
					t.Fatalf("MQTT %d, %d events at once: waiting for %s: %v", version, most, w, err)
				}
				if got := fmt.Sprint(names[r.kind], " ", r.id); got != w || r.reason != 0 {
					t.Fatalf("MQTT %d, %d events at once: got %s reason %#x, want %s", version, most, got, r.reason, w)
				}
			}
			for _, payload := range stored {
				sub.expectMessage(payload)
			}
			if got := log.payloads(); !slices.Equal(got, stored) {
				t.Errorf("got stored %q, want %q", got, stored)
			}
			if s := b.Status(); s.Stored != 40 || s.Unlogged != 13 || s.Acked != 13+13+13 || s.Refused+s.Disconnected+s.Dropped != 0 {
				t.Errorf("got %+v, want 40 stored, 13 unlogged, 39 acknowledged and nothing else", s)
			}
		}
	}
}

var names = map[byte]string{packets.Puback: "PUBACK", packets.Pubrec: "PUBREC", packets.Pubcomp: "PUBCOMP"}

// TestUnfitPublishAmongOthers: what the log can never take is refused by itself, also where it was gathered with others.
func TestUnfitPublishAmongOthers(t *testing.T) {
	t.Parallel()
	log := newFakeLog(t)
	log.unfit = "unfit"
	_, addr := startBroker(t, Options{ReceiveMaximum: 20}, log)
	c := dialRaw(t, addr, 5, patience, nil)
	c.connect(hello{id: "c"})
	for round := range 3 { // packet ids and the Receive Maximum are free again
		var burst [][]byte
		for id := uint16(1); id <= 20; id++ {
			payload := fmt.Sprint(round, id)
			if id%4 < 2 {
				payload = "unfit"
			}
			burst = append(burst, c.publishFrame(message{topic: "a", payload: payload, qos: byte(1 + id%2), id: id}))
		}
		burst = append(burst, c.publishFrame(message{topic: "a", payload: "unfit"}))
		c.send(burst...)
		for id := uint16(1); id <= 20; id++ {
			reason := byte(0)
			if id%4 < 2 {
				reason = packets.ErrImplementationSpecificError.Code
			}
			if r := c.expect([]byte{packets.Puback, packets.Pubrec}[id%2]); r.id != id || r.reason != reason {
				t.Fatalf("round %d: got %v, want packet %d and reason %#x", round, r, id, reason)
			}
		}
		for id := uint16(3); id <= 20; id += 4 {
			c.ack(packets.Pubrel, id)
			c.expectAck(packets.Pubcomp, id)
		}
	}
	if n := len(log.events()); n != 30 {
		t.Errorf("got %d events stored, want 30", n)
	}
}

// TestBurstsOfSmallPublishesAreNotTooLarge: an event is many times as large in the real log as its packet, by the strings
// of its source, type and topic. A burst of such publishes was once refused as too large, and its client cut off for ever.
func TestBurstsOfSmallPublishesAreNotTooLarge(t *testing.T) {
	t.Parallel()
	log, err := buffer.Open(buffer.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // behind the broker's, which is registered later
		if err := log.Close(); err != nil {
			t.Errorf("close the log: %v", err)
		}
	})
	_, addr := startBroker(t, Options{}, log)
	t.Run("group", func(t *testing.T) {
		t.Run("20,000 empty publishes of a client with a long id", func(t *testing.T) {
			t.Parallel()
			c := dialRaw(t, addr, 4, time.Minute, nil)
			c.connect(hello{id: "0f6c2a9e-6a5f-4a0e-9d9b-3b0a6f5f8c11"})
			var burst [][]byte
			for i := range 20_000 {
				burst = append(burst, c.publishFrame(message{topic: "a", qos: 1, id: uint16(i + 1)}))
			}
			written := make(chan error, 1)
			go func() { written <- c.write(burst...) }()
			for i := range 20_000 {
				c.expectAck(packets.Puback, uint16(i+1))
			}
			if err := <-written; err != nil {
				t.Error(err)
			}
		})
		t.Run("1,000 with the alias of a long topic", func(t *testing.T) {
			t.Parallel()
			c := dialRaw(t, addr, 5, time.Minute, nil)
			c.connect(hello{id: "sensor"})
			topic := strings.Repeat("t", 250)
			for round := range 3 {
				var burst [][]byte
				for i := range 1000 {
					burst = append(burst, c.publishFrame(message{topic: topic, qos: 1, id: uint16(i + 1), props: [][]byte{propAlias(1)}}))
					topic = ""
				}
				c.send(burst...)
				for i := range 1000 {
					c.expectAck(packets.Puback, uint16(i+1))
				}
				t.Logf("round %d acknowledged", round)
			}
		})
	})
	if last := log.Status().Last; last != 23_000 {
		t.Errorf("got %d events in the log, want 23000", last)
	}
}

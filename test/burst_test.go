package test

import (
	"strings"
	"testing"
	"time"

	"gateway/internal/load/wire"
)

// TestBurstOfSmallPublishesIsAcknowledged sends legal bursts whose events are many times as large in the log as their packets: a
// long client id stands in each event's source. Such a batch was once refused as too large, and its client cut off for ever.
func TestBurstOfSmallPublishesIsAcknowledged(t *testing.T) {
	t.Parallel()
	g := gateway(t)
	b := start(t, &g)
	for name, c := range map[string]struct{ id, topic, payload string }{
		"uuid, empty":    {"0f6c2a9e-6a5f-4a0e-9d9b-3b0a6f5f8c11", "a", ""},
		"long id, digit": {strings.Repeat("x", 200), "t/1", "21.5"},
		"longest id":     {strings.Repeat("y", 500), "a", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const count = 20_000
			conn, _, err := wire.Dial(b.Addr, wire.Options{ClientID: c.id}, 10*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			var burst []byte
			for i := range count {
				burst = wire.AppendPublish(burst, c.topic, uint16(i%60_000+1), 1, false, []byte(c.payload))
			}
			written := make(chan error, 1)
			go func() {
				_, err := conn.Write(burst)
				written <- err
			}()
			r := wire.NewReader(conn, 64<<10)
			for acks := range count {
				first, body, err := r.Next()
				if err != nil || first != wire.Puback {
					t.Fatalf("after %d of %d acknowledgements: packet 0x%02x, %v", acks, count, first, err)
				}
				id, err := wire.ID(body)
				if err != nil || id != uint16(acks%60_000+1) {
					t.Fatalf("acknowledgement %d: got id %d, %v", acks+1, id, err)
				}
			}
			if err := <-written; err != nil {
				t.Error(err)
			}
		})
	}
}

package mqttsink

import (
	"testing"
	"time"
)

func TestAnAcknowledgementOfWhatWasNotPublishedYetDoesNotCountLater(t *testing.T) {
	t.Parallel()
	w, now := newWindow(4, 0, 1), time.Now()
	w.published(2, now)
	w.ack([]uint16{w.packetID(2), w.packetID(3)}, now)
	w.published(2, now)
	w.ack([]uint16{w.packetID(0), w.packetID(1)}, now)
	acked := w.close()
	for number, want := range []bool{true, true, false, false} {
		if got := acked(uint64(number)); got != want {
			t.Errorf("publish %d: got acknowledged %v, want %v", number, got, want)
		}
	}
	if w.ack([]uint16{w.packetID(2)}, now); acked(2) {
		t.Error("an acknowledgement counted after the connection's end")
	}
}

func TestPacketIDsGoRoundAndAreNeverZero(t *testing.T) {
	t.Parallel()
	w, now := newWindow(300, 0, 1), time.Now()
	for round := range 500 { // 150,000 publishes: more than twice round
		first, room := w.free()
		if room != 300 {
			t.Fatalf("round %d: room for %d, want 300", round, room)
		}
		w.published(300, now)
		ids := make([]uint16, 300)
		for i := range ids {
			if ids[i] = w.packetID(first + uint64(i)); ids[i] == 0 {
				t.Fatalf("publish %d has the packet id 0", first+uint64(i))
			}
		}
		if w.ack(ids[:299], now); w.reached(0) {
			t.Fatalf("round %d: all acknowledged, but one was not", round)
		}
		if w.ack(ids[299:], now); !w.reached(0) {
			t.Fatalf("round %d: not all acknowledged", round)
		}
	}
}

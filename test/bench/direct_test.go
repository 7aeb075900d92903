package main

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"gateway"
	"gateway/forwarder/mqttsink"
	"gateway/internal/load"
)

// TestSinkAlone is no test: it is the peer of the row delivery, which runs it as a program. It publishes readings out of memory with the
// gateway's sink, in batches like a forwarder's.
func TestSinkAlone(t *testing.T) {
	addr := os.Getenv(directAddr)
	if addr == "" {
		t.Skip("it is for the row delivery of make bench")
	}
	count, err := strconv.Atoi(os.Getenv(directCount))
	if err != nil {
		t.Fatal(err)
	}
	o := mqttsink.Default()
	o.URL, o.ClientID, o.Logger = "tcp://"+addr, "direct", slog.New(slog.DiscardHandler)
	sink, err := mqttsink.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	m := fillMemory(count)
	batch := make([]gateway.Entry, 0, directBatch)
	for at := 0; at < count; at += len(batch) {
		batch = m.batch(batch[:0], at, min(at+directBatch, count))
		if err := sink.Send(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
}

// memory holds events in two pieces, so that to make one of them costs next to nothing.
type memory struct {
	data []byte
	ends []int // of data
	ids  string
	at   time.Time
}

const idLen = len("9700ff148bd3185b.1-0000000000")

func fillMemory(count int) *memory {
	m := &memory{at: time.Now()}
	readings := load.NewReadings(0, 1, 20, 128, 1)
	var ids strings.Builder
	for seq := range count {
		m.data = readings.Append(m.data, uint64(seq), m.at.UnixMilli())
		m.ends = append(m.ends, len(m.data))
		fmt.Fprintf(&ids, "9700ff148bd3185b.1-%010d", seq+1)
	}
	m.ids = ids.String()
	return m
}

// directExtensions are those of an event that came by MQTT.
var directExtensions = map[string]string{"mqttqos": "1", gateway.ExtClock: "unsynchronized"}

// batch appends the events from (with) from to (without) to.
func (m *memory) batch(dst []gateway.Entry, from, to int) []gateway.Entry {
	for i := from; i < to; i++ {
		start := 0
		if i > 0 {
			start = m.ends[i-1]
		}
		dst = append(dst, gateway.Entry{Offset: gateway.Offset(i + 1), Received: m.at, Event: gateway.Event{
			ID: m.ids[i*idLen : (i+1)*idLen], Source: "//line/mqtt/waiting-0000", Type: "mqtt.publish", Subject: "waiting/0000/reading",
			Time: m.at, DataContentType: "application/json", Data: m.data[start:m.ends[i]], Extensions: directExtensions,
		}})
	}
	return dst
}

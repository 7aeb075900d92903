package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"gateway/devices"
	"gateway/internal/faultproxy"
)

// eventually waits until ok, and fails if that takes long.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for !ok() {
		select {
		case <-look.C:
		case <-deadline.C:
			t.Fatalf("waited too long until %s", what)
		}
	}
}

// A sensor whose own connection is reset behind a publish and before its acknowledgement sends it again, in order, and
// the book excuses what then comes twice.
func TestSensorKeepsWhatIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	broker, err := startUpstream()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := broker.close(); err != nil {
			t.Error(err)
		}
	})
	proxy, err := faultproxy.New(broker.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := proxy.Close(); err != nil {
			t.Error(err)
		}
	})
	device := devices.Simulations(1, time.Now(), time.Minute)[0]
	b := newBook([]string{device.Name()})
	observer, err := dial(t.Context(), broker.addr, "observer")
	if err != nil {
		t.Fatal(err)
	}
	defer observer.close()
	var arrivals atomic.Int64
	take := func(_ paho.Client, m paho.Message) {
		var p struct {
			Device string
			Seq    int
		}
		if err := json.Unmarshal(m.Payload(), &p); err != nil {
			t.Errorf("a payload is not JSON: %q", m.Payload())
		}
		b.received(p.Device, p.Seq, fmt.Sprint(arrivals.Add(1))) // a new ID for each, as the log would give
	}
	if err := await(t.Context(), observer.client.Subscribe("#", 1, take)); err != nil {
		t.Fatal(err)
	}

	stop, cancel := context.WithCancel(t.Context())
	defer cancel()
	var running sync.WaitGroup
	s := &sensor{device: device, addr: proxy.Addr(), interval: 2 * time.Millisecond, book: b}
	running.Go(func() { s.run(t.Context(), stop) })
	for round := range 5 {
		now := b.ledger().Total().Acknowledged
		eventually(t, "the sensor goes on", func() bool { return b.ledger().Total().Acknowledged >= now+20 })
		<-proxy.CutAfterBytes(faultproxy.Down, int64(4*round+2), faultproxy.Reset) // within an acknowledgement of 4 bytes
	}
	proxy.SetDown()
	eventually(t, "its window is full", func() bool { return s.waiting.Load() == sensorWindow })
	proxy.SetUp()
	cancel()
	running.Wait()
	eventually(t, "everything arrived", func() bool { return b.missing() == 0 })
	l, total := b.ledger(), b.ledger().Total()
	if !l.OK() || total.Acknowledged != total.Sent || total.Resent < 5 {
		t.Errorf("got %+v, %s: want everything acknowledged and each cut to make the sensor send something again", total, l.Verdict())
	}
}

func TestPayloadIsJSONWithUnits(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.FixedZone("", 3600))
	got := string(payload("climate", 7, at, []devices.Reading{{Quantity: "temperature", Value: 21.5, Unit: "Cel"}, {Quantity: "humidity", Value: 60, Unit: "%"}}))
	want := `{"device":"climate","seq":7,"time":"2026-01-02T02:04:05.678Z","values":{"temperature":{"value":21.5,"unit":"Cel"},"humidity":{"value":60,"unit":"%"}}}`
	if got != want || !json.Valid([]byte(got)) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestLineGoesThroughAllTroublesAndComesBack(t *testing.T) {
	t.Parallel()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	defer serving.Wait()
	defer server.Close()
	serving.Go(func() {
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn) // ends with the connection
			})
		}
	})
	proxy, err := faultproxy.New(server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	l := newLine(proxy, 5, 10*time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { l.run(ctx) })
	eventually(t, "each trouble has happened", func() bool {
		_, _, cuts := l.now()
		return len(cuts) == len(troubles)
	})
	cancel()
	running.Wait()
	if state, _, _ := l.now(); state != lineUp {
		t.Errorf("got the line %s in the end, want up", state)
	}
	conn, err := net.Dial("tcp", proxy.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	text := make([]byte, 4096)
	_, werr := conn.Write(text)
	_, rerr := io.ReadFull(conn, text)
	if werr != nil || rerr != nil {
		t.Errorf("the line does not pass bytes in the end: %v, %v", werr, rerr)
	}
}

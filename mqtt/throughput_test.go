package mqtt

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"gateway"
)

// instantLog is a log that takes everything and keeps nothing: what is measured with it is the broker.
type instantLog struct {
	mu    sync.Mutex
	dones []func(gateway.Offset, error)
	wake  chan struct{}
}

func newInstantLog(b testing.TB) *instantLog {
	l := &instantLog{wake: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { l.run(ctx) })
	b.Cleanup(func() { cancel(); wg.Wait() })
	return l
}

func (l *instantLog) Submit(_ context.Context, _ gateway.Batch, done func(gateway.Offset, error)) error {
	l.mu.Lock()
	l.dones = append(l.dones, done)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return nil
}

func (l *instantLog) Recent(func(*gateway.Entry, uint32) error) error { return nil }

func (l *instantLog) run(ctx context.Context) {
	var group []func(gateway.Offset, error)
	for {
		select {
		case <-l.wake:
		case <-ctx.Done():
			return
		}
		l.mu.Lock()
		group, l.dones = l.dones, group[:0]
		l.mu.Unlock()
		for _, done := range group {
			done(0, nil)
		}
		clear(group)
	}
}

// BenchmarkPublish measures QoS 1 publishes of 128 bytes over loopback TCP, acknowledged: the load is in the same process.
func BenchmarkPublish(b *testing.B) {
	for _, load := range []struct{ clients, window int }{{10, 50}, {100, 20}, {1, 50}} {
		b.Run(fmt.Sprintf("%dx%d", load.clients, load.window), func(b *testing.B) {
			broker, addr := startBroker(b, Options{}, newInstantLog(b))
			b.ReportAllocs()
			b.ResetTimer()
			start := time.Now()
			var wg sync.WaitGroup
			for i := range load.clients {
				wg.Go(func() { pump(b, addr, i, b.N/load.clients+1, load.window) })
			}
			wg.Wait()
			b.ReportMetric(float64(broker.Status().Stored)/time.Since(start).Seconds(), "msgs/s")
		})
	}
}

// pump publishes n messages with at most window of them unacknowledged.
func pump(b testing.TB, addr string, client, n, window int) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Error(err)
		return
	}
	defer conn.Close()
	c := &rawClient{t: b, version: 4}
	hello := c.connectFrame(hello{id: fmt.Sprint("pump-", client)})
	if _, err := conn.Write(hello); err != nil {
		b.Error(err)
		return
	}
	in := bufio.NewReaderSize(conn, 4096)
	if _, err := io.CopyN(io.Discard, in, 4); err != nil {
		b.Error(err)
		return
	}
	frame := c.publishFrame(message{topic: fmt.Sprintf("bench/device-%d/value", client), payload: strings.Repeat("x", 128), id: 1, qos: 1})
	burst := make([]byte, 0, window*len(frame))
	ack := make([]byte, 4)
	for sent, acked := 0, 0; acked < n; {
		burst = burst[:0]
		for ; sent < n && sent-acked < window; sent++ {
			burst = append(burst, frame...)
		}
		if len(burst) > 0 {
			if _, err := conn.Write(burst); err != nil {
				b.Error(err)
				return
			}
		}
		for more := true; more; more = in.Buffered() >= 4 {
			if _, err := io.ReadFull(in, ack); err != nil || ack[0]>>4 != packets.Puback {
				b.Errorf("client %d after %d acks: got %x, %v", client, acked, ack, err)
				return
			}
			acked++
		}
	}
}

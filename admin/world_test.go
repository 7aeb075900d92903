package admin

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"gateway"
	"gateway/buffer"
)

// deadline bounds every wait of a test.
const deadline = 30 * time.Second

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	return ctx
}

// testLog is a real log, of which a test may replace what is hard to bring about.
type testLog struct {
	*buffer.Log
	verify func(ctx context.Context, progress func(done, total uint64)) (gateway.LogReport, error)
	append func(ctx context.Context, events ...gateway.Event) (gateway.Offset, error)
	failed atomic.Value // string
}

func (l *testLog) Status() gateway.LogStatus {
	st := l.Log.Status()
	st.Failed, _ = l.failed.Load().(string)
	return st
}

func (l *testLog) Verify(ctx context.Context, progress func(done, total uint64)) (gateway.LogReport, error) {
	return l.verify(ctx, progress)
}

func (l *testLog) Append(ctx context.Context, events ...gateway.Event) (gateway.Offset, error) {
	if l.append != nil {
		return l.append(ctx, events...)
	}
	return l.Log.Append(ctx, events...)
}

func (l *testLog) Compact(context.Context) error { return nil }
func (l *testLog) Report() gateway.LogReport     { return gateway.LogReport{Epoch: 1} }

// world is a server on a real log and a real socket.
type world struct {
	dir    string
	log    *testLog
	server *Server
	client *Client
	stop   context.CancelFunc
	done   chan error // what Run returned
}

// newWorld starts a server in dir; change, if any, may alter it before.
func newWorld(t *testing.T, dir string, change func(*world)) *world {
	t.Helper()
	log, err := buffer.Open(buffer.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{dir: dir, log: &testLog{Log: log}, client: NewClient(filepath.Join(dir, SocketName)), done: make(chan error, 1)}
	w.server = New(Options{
		Version: "1.2.3", ID: "pi-1", Log: w.log,
		Broker: func() gateway.BrokerStatus {
			return gateway.BrokerStatus{Received: 28, Stored: 1, Unlogged: 2, Duplicates: 3, Refused: 4, Dropped: 5, Disconnected: 6}
		},
		Forwarders: func() []gateway.ForwarderStatus {
			return []gateway.ForwarderStatus{{Name: "cloud", State: gateway.StateRetrying, Lag: 1500 * time.Millisecond, Waiting: 9}}
		},
	})
	if change != nil {
		change(w)
	}
	if err := w.server.ListenSocket(dir); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	go func() { w.done <- w.server.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-w.done; err != nil {
			t.Errorf("run: %v", err)
		}
		w.done <- nil
		if err := w.server.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := log.Close(); err != nil {
			t.Errorf("close log: %v", err)
		}
	})
	return w
}

// fill appends n events in batches, of which each tenth has the topic "rare".
func (w *world) fill(t testing.TB, n int) {
	t.Helper()
	var batch []gateway.Event
	for i := range n {
		batch = append(batch, testEvent(i))
		if len(batch) > i%97 || i == n-1 {
			if _, err := w.log.Log.Append(testContext(t), batch...); err != nil {
				t.Fatal(err)
			}
			batch = nil
		}
	}
}

func testEvent(i int) gateway.Event {
	topic := "often"
	if i%10 == 0 {
		topic = "rare"
	}
	return gateway.Event{Source: "//pi-1/mqtt/dev", Type: "mqtt.publish", Subject: topic, DataContentType: "application/json", Data: fmt.Appendf(nil, `{"n":%d}`, i)}
}

// eventually polls cond until the deadline.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(deadline); !cond(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited %s for: %s", deadline, what)
		}
	}
}

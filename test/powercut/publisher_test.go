package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gateway/internal/load/wire"
)

// server acknowledges the given number of publishes, reads one more, which shows that the acknowledgements have left, and closes the
// connection; where dark is given, because the power goes.
func server(t *testing.T, conn net.Conn, publishes int, dark *atomic.Bool) {
	t.Helper()
	defer conn.Close()
	r := wire.NewReader(conn, 4<<10)
	for range publishes {
		first, body, err := r.Next()
		if err != nil {
			t.Errorf("read publish: %v", err)
			return
		}
		m, err := wire.ParsePublish(first, body)
		if err != nil {
			t.Errorf("parse publish: %v", err)
			return
		}
		if _, err := conn.Write(wire.AppendAck(nil, wire.Puback, m.ID)); err != nil {
			t.Errorf("write: %v", err)
			return
		}
	}
	if _, _, err := r.Next(); err != nil {
		t.Errorf("read publish: %v", err)
	}
	if dark != nil {
		dark.Store(true)
	}
}

func TestAPublisherRecordsWhatItWasTold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what  string
		serve func(conn net.Conn, dark *atomic.Bool)
		acked uint64
		err   string
	}{
		{"the power goes after five", func(conn net.Conn, dark *atomic.Bool) { server(t, conn, 5, dark) }, 5, ""},
		{"the connection ends by itself after four", func(conn net.Conn, _ *atomic.Bool) { server(t, conn, 4, nil) }, 4, "lost its connection"},
		{"the answer is for another packet", func(conn net.Conn, _ *atomic.Bool) { answerWrongly(t, conn) }, 0, "wrong acknowledgement"},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			log := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(log, make([]byte, 700), 0o600); err != nil {
				t.Fatal(err)
			}
			here, there := net.Pipe()
			l := newLedger(1)
			l.booted()
			var dark atomic.Bool
			p := &publisher{ledger: l, conn: here, log: log, every: time.Millisecond, inFlight: make(chan uint64, window), dark: &dark}
			ended := make(chan error, 1)
			go func() { ended <- p.run(context.Background()) }()
			c.serve(there, &dark)
			err := <-ended
			if l.total() != c.acked || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("got %d acknowledged and %v, want %d and %q", l.total(), err, c.acked, c.err)
			}
			if c.acked > 0 && l.clients[0].acks[0] != (ack{1, 700}) {
				t.Errorf("got %+v, want boot 1 at 700", l.clients[0].acks[0])
			}
		})
	}
}

func answerWrongly(t *testing.T, conn net.Conn) {
	t.Helper()
	defer conn.Close()
	if _, _, err := wire.NewReader(conn, 4<<10).Next(); err != nil {
		t.Errorf("read publish: %v", err)
	}
	if _, err := conn.Write(wire.AppendAck(nil, wire.Puback, 999)); err != nil {
		t.Errorf("write: %v", err)
	}
}

package line

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"time"

	"gateway/internal/load"
	"gateway/internal/load/wire"
)

// recorder is the subscriber at the upstream, on a good line of its own.
type recorder struct {
	conn   net.Conn
	reader *wire.Reader
	ledger *ledger
}

func subscribe(addr string, l *ledger) (*recorder, error) {
	conn, _, err := wire.Dial(addr, wire.Options{ClientID: "recorder"}, 10*time.Second)
	if err != nil {
		return nil, err
	}
	r := &recorder{conn: conn, reader: wire.NewReader(conn, 64<<10), ledger: l}
	if _, err := conn.Write(wire.AppendSubscribe(nil, 1, "#", 1)); err != nil {
		conn.Close()
		return nil, fmt.Errorf("subscribe at %s: %w", addr, err)
	}
	first, body, err := r.reader.Next()
	if err != nil || first != wire.Suback || len(body) != 3 || body[2] > 2 {
		conn.Close()
		return nil, fmt.Errorf("subscribe at %s: packet 0x%02x % x, %w", addr, first, body, err)
	}
	return r, nil
}

// run records until ctx ends, which is not an error, or the connection does.
func (r *recorder) run(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { r.conn.Close() })()
	defer r.conn.Close()
	var out []byte
	for {
		first, body, err := r.reader.Next()
		for ok := true; ok && err == nil; first, body, ok, err = r.reader.Buffered() {
			if out, err = r.take(out, first, body); err != nil {
				break
			}
		}
		if err == nil && len(out) > 0 {
			_, err = r.conn.Write(out)
			out = out[:0]
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("record at the upstream: %w", err)
		}
	}
}

// take records a structured CloudEvent.
func (r *recorder) take(out []byte, first byte, body []byte) ([]byte, error) {
	if first&0xf0 != wire.Publish {
		return out, nil
	}
	m, err := wire.ParsePublish(first, body)
	if err != nil {
		return out, err
	}
	var event struct {
		ID, Source string
		Backfill   any
		Data       json.RawMessage
	}
	if err := json.Unmarshal(m.Payload, &event); err != nil {
		return out, fmt.Errorf("the upstream received %.200q: %w", m.Payload, err)
	}
	sensor, seq, err := load.Identity(event.Data)
	if err != nil {
		return out, fmt.Errorf("the upstream received %.200q: %w", m.Payload, err)
	}
	lane, p := laneLive, place{sensor, seq}
	if fmt.Sprint(event.Backfill) == "true" {
		lane = laneBackfill
	}
	r.ledger.arrival(event.Source+" "+event.ID, lane, p, bytes.Equal(event.Data, payload(p)))
	if m.QoS > 0 {
		out = wire.AppendAck(out, wire.Puback, m.ID)
	}
	return out, nil
}

package volume

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"gateway"
	"gateway/buffer"
)

const (
	// cursor is the consumer that lets the log trim.
	cursor = "forwarder/volume"
	// phase is how much payload is written before it is read back: enough to wait in tables of several levels.
	phase = 192 << 20
)

// wanted is the volume from the environment, in bytes.
func wanted(t *testing.T) int64 {
	text := os.Getenv("GATEWAY_VOLUME")
	if text == "" {
		return 24 << 20
	}
	number, isGB := strings.CutSuffix(text, "GB")
	number, isMB := strings.CutSuffix(number, "MB")
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || n <= 0 || !isGB && !isMB {
		t.Fatalf("GATEWAY_VOLUME is %q, want something like 2GB or 100MB", text)
	}
	if isGB {
		n *= 1000
	}
	return int64(n * 1e6)
}

// data is the payload of the event at a place: half of them cannot be compressed, sizes are 100 bytes to 20 kB.
func data(n uint64) []byte {
	rng := rand.New(rand.NewPCG(n, 7))
	b := binary.BigEndian.AppendUint64(nil, n)
	size := 100 + rng.IntN(1000)
	if rng.IntN(4) == 0 {
		size = 1000 + rng.IntN(19_000)
	}
	if n%2 == 0 {
		return append(b, bytes.Repeat([]byte("temperature 21.5; "), size/18)...)
	}
	for len(b) < size {
		b = binary.LittleEndian.AppendUint64(b, rng.Uint64())
	}
	return b
}

// world is an open log and how far it was written and verified.
type world struct {
	t       *testing.T
	ctx     context.Context
	dir     string
	log     *buffer.Log
	written uint64 // events
	read    uint64
	bytes   int64
}

func (w *world) open() {
	w.t.Helper()
	log, err := buffer.Open(buffer.Options{Dir: w.dir, MaxSize: 1 << 30})
	if err != nil {
		w.t.Fatal(err)
	}
	w.log = log
}

// write appends about so much payload, in batches that commit while the next is made.
func (w *world) write(volume int64) {
	w.t.Helper()
	errs := make(chan error, 1)
	for end := w.bytes + volume; w.bytes < end; {
		batch := gateway.Batch{}
		for range 64 {
			d := data(w.written)
			batch.Events = append(batch.Events, gateway.Event{Source: "test:volume", Type: "volume", Subject: fmt.Sprintf("s/%d", w.written%50), Data: d})
			w.written++
			w.bytes += int64(len(d))
		}
		err := w.log.Submit(w.ctx, batch, func(_ gateway.Offset, err error) {
			select {
			case errs <- err:
			default: // one is enough
			}
		})
		if err != nil {
			w.t.Fatalf("submit at %d: %v", w.written, err)
		}
		select {
		case err := <-errs:
			if err != nil {
				w.t.Fatalf("commit before %d: %v", w.written, err)
			}
		default:
		}
	}
	if _, err := w.log.Append(w.ctx, gateway.Event{Source: "test:volume", Type: "volume", Data: data(w.written)}); err != nil {
		w.t.Fatal(err)
	}
	w.written++
}

// verify reads everything that was written and moves the cursor behind it.
func (w *world) verify() {
	w.t.Helper()
	reader := w.log.NewReader(gateway.Offset(w.read))
	defer reader.Close()
	for w.read < w.written {
		entries, err := reader.Next(w.ctx, 500)
		if err != nil {
			w.t.Fatalf("read behind %d of %d: %v", w.read, w.written, err)
		}
		for _, e := range entries {
			if e.Offset != gateway.Offset(w.read+1) {
				w.t.Fatalf("got offset %d, want %d", e.Offset, w.read+1)
			}
			if want := data(w.read); !bytes.Equal(e.Event.Data, want) {
				w.t.Fatalf("offset %d: got %d bytes that differ from the %d that were written", e.Offset, len(e.Event.Data), len(want))
			}
			w.read++
		}
		move := gateway.Batch{Cursors: []gateway.CursorMove{{Name: cursor, Offset: gateway.Offset(w.read)}}}
		if err := w.log.Submit(w.ctx, move, func(gateway.Offset, error) {}); err != nil {
			w.t.Fatal(err)
		}
	}
}

func TestVolume(t *testing.T) {
	t.Parallel()
	volume := wanted(t)
	w := &world{t: t, ctx: t.Context(), dir: t.TempDir()}
	w.open()
	defer func() { _ = w.log.Close() }()
	if _, err := w.log.Commit(w.ctx, gateway.Batch{Cursors: []gateway.CursorMove{{Name: cursor}}}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for w.bytes < volume {
		w.write(min(phase, volume-w.bytes))
		if err := w.log.Close(); err != nil {
			t.Fatal(err)
		}
		w.open()
		w.verify()
		t.Logf("%d bits: %d MB in %d events written, read back after reopening, and right, after %s",
			strconv.IntSize, w.bytes/1_000_000, w.read, time.Since(began).Round(time.Second))
	}
}

package buffer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gateway"
)

// formatV1 is a data directory that the first version wrote and closed; formatV1Open is the same, of a process that was killed. They are
// never written again: every later version opens them.
const (
	formatV1     = "testdata/format-v1"
	formatV1Open = "testdata/format-v1-killed"
)

// formatBlocks are the events that it was given, in the blocks that they were given in, one after the other.
func formatBlocks() [][]gateway.Event {
	var blocks [][]gateway.Event
	for b := range 8 {
		var events []gateway.Event
		for i := range b%3 + 1 {
			e := gateway.Event{
				Source: fmt.Sprintf("//format/%d", i), Type: "format.reading", Subject: "hall/temperature",
				Data: bytes.Repeat([]byte(fmt.Sprintf(`{"b":%d,"i":%d}`, b, i)), b+1), DataContentType: "application/json",
			}
			switch b {
			case 2: // with everything of its own
				e.ID, e.Time, e.DataSchema = "own-"+fmt.Sprint(i), time.Date(2001, 2, 3, 4, 5, 6, 700, time.UTC), "urn:schema"
				e.Extensions = map[string]string{"mqtttopic": "a/b", "partitionkey": "ü"}
			case 3:
				e.Data = nil
			}
			events = append(events, e)
		}
		blocks = append(blocks, events)
	}
	return blocks
}

// writeFormatV1 makes the directory, and a copy of it from before it was closed.
func writeFormatV1(t *testing.T, dir, killed string) {
	t.Helper()
	c := &machineClock{truth: noon, wrong: -20 * year, boot: 1}
	hooks := c.hooks()
	hooks.machine = func() string { return "0123456789abcdef" }
	l := openLog(t, Options{Dir: dir, hooks: hooks})
	for b, events := range formatBlocks() {
		batch := gateway.Batch{Events: events, Marks: []uint32{uint32(b)}}
		if b == 5 {
			batch.KV = []gateway.KeyValue{{Key: "dead/up/1", Value: []byte("a letter")}}
			batch.Cursors = []gateway.CursorMove{{Name: "forwarder/up", Offset: 3}}
			c.set(0, true) // the first five blocks are from before the clock was known
			c.pass(2 * time.Second)
		}
		if _, err := l.Commit(testContext(t), batch); err != nil {
			t.Fatal(err)
		}
		c.pass(time.Minute)
	}
	if err := l.noteTime(); err != nil {
		t.Fatal(err)
	}
	breakBlock(t, l, 7, false)
	closeLog(t, l)
	l = openLog(t, Options{Dir: dir, hooks: hooks})
	readTo(t, l, 0, l.durable()) // which finds the damage
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	closeLog(t, l)
	names, err := filepath.Glob(filepath.Join(killed, engineName, "*.mem"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names { // what was only preallocated is not worth keeping
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(name, int64(len(bytes.TrimRight(b, "\x00")))+4096); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFormatV1 opens what the first version wrote, and finds all of it.
func TestFormatV1(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(formatV1); errors.Is(err, fs.ErrNotExist) && os.Getenv("GATEWAY_WRITE_FORMAT") != "" {
		made, killed := t.TempDir(), filepath.Join(t.TempDir(), "killed")
		writeFormatV1(t, made, killed)
		for _, dir := range []string{made, killed} {
			if err := errors.Join(os.Remove(filepath.Join(dir, ballastName)), os.RemoveAll(filepath.Join(dir, quarantineName))); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(os.CopyFS(formatV1, os.DirFS(made)), os.CopyFS(formatV1Open, os.DirFS(killed))); err != nil {
			t.Fatal(err)
		}
	}
	for _, from := range []string{formatV1, formatV1Open} {
		t.Run(filepath.Base(from), func(t *testing.T) {
			t.Parallel()
			checkFormatV1(t, from)
		})
	}
}

func checkFormatV1(t *testing.T, from string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	l := openLog(t, Options{Dir: dir})
	if !l.report.Sound() {
		t.Errorf("it was found damaged: %+v", l.report)
	}
	s := l.Status()
	if s.First != 1 || s.Last != 15 || s.Epoch < 2 || !maps.Equal(s.Cursors, map[string]gateway.Offset{"forwarder/up": 3}) {
		t.Errorf("got status %+v", s)
	}
	if v, err := l.Get("dead/up/1"); err != nil || string(v) != "a letter" {
		t.Errorf("got %q, %v", v, err)
	}
	entries := readTo(t, l, 0, 15)
	at, offset := 0, gateway.Offset(1)
	for b, events := range formatBlocks() {
		if offset == 7 { // the damaged one
			var g gateway.Gap
			if err := json.Unmarshal(entries[at].Event.Data, &g); err != nil || g.From != 7 || g.To != 7 || g.Reason != gateway.LostDamage {
				t.Errorf("got %s, %v; want the gap at 7", entries[at].Event.Data, err)
			}
			at, offset = at+1, offset+1
			continue
		}
		received := noon.Add(time.Duration(b) * time.Minute)
		if b >= 5 {
			received = received.Add(2 * time.Second)
		}
		for _, want := range events {
			checkFormatEntry(t, &entries[at], offset, &want, received, s.LogID, b < 5)
			at, offset = at+1, offset+1
		}
	}
	last, err := l.Append(testContext(t), event("x"))
	if err != nil || last != 16 {
		t.Errorf("appended at %d, %v; want 16", last, err)
	}
}

func checkFormatEntry(t *testing.T, got *gateway.Entry, offset gateway.Offset, want *gateway.Event, received time.Time, logID string, corrected bool) {
	t.Helper()
	e := *want
	if e.ID == "" {
		e.ID = gateway.EventID(logID, 1, offset)
	}
	if e.Time.IsZero() {
		e.Time = received
		if corrected {
			e.Extensions = map[string]string{gateway.ExtClock: gateway.ClockCorrected}
		}
	}
	if got.Offset != offset || !got.Received.Equal(received) || !bytes.Equal(got.Event.Data, e.Data) || got.Event.ID != e.ID || !got.Event.Time.Equal(e.Time) ||
		got.Event.Source != e.Source || got.Event.Type != e.Type || got.Event.Subject != e.Subject || got.Event.DataContentType != e.DataContentType ||
		got.Event.DataSchema != e.DataSchema || !maps.Equal(got.Event.Extensions, e.Extensions) {
		t.Errorf("offset %d: got %+v received %s, want %+v received %s", offset, got.Event, got.Received, e, received)
	}
}

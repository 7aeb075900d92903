package buffer

import (
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gateway"
)

var update = flag.Bool("update", false, "write testdata of the current format version")

// sample is events of every shape.
func sample() []gateway.Event {
	at := time.Date(2026, 3, 4, 5, 6, 7, 123456789, time.UTC)
	return []gateway.Event{
		{Source: "s", Type: "t"},
		{Source: "//gateway/pi/dev", Type: "mqtt.publish", Subject: "a/b/c", DataContentType: "application/json", Data: []byte(`{"t":21.5}`)},
		{Source: "//gateway/pi/dev", Type: "mqtt.publish", Subject: "a/b/c", DataContentType: "application/json", Data: []byte(`{"t":21.6}`)},
		{ID: "given", Source: "s", Type: "t", DataSchema: "https://example.com/schema", Time: at, Data: []byte{0, 1, 255}},
		{ID: "early", Source: "s", Type: "t", Time: time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC)},
		{Source: "s", Type: "t", Extensions: map[string]string{"mqttqos": "1", "mqttretain": "", "site": "hall 3"}},
		{Source: "s", Type: "t", Extensions: map[string]string{"site": "hall 3", "mqttqos": "1", "mqttretain": ""}, Data: []byte("same set")},
		{Source: "s", Type: "t", Extensions: map[string]string{"mqttqos": "2", "mqttretain": "", "site": "hall 3"}, Data: []byte("another set")},
		{Source: "s", Type: "t", Subject: "größe/温度", Data: []byte(strings.Repeat("long ", 2000))},
	}
}

const sampleWall int64 = 1_790_000_000_123_456

func sampleBlock(t testing.TB) []byte { return blockOf(t, sample()) }

func blockOf(t testing.TB, events []gateway.Event) []byte {
	t.Helper()
	s, err := newSealer()
	if err != nil {
		t.Fatal(err)
	}
	b := newBuilder()
	for i := range events {
		received := sampleWall + int64(i)*1000
		if i == 5 {
			received -= 3_600_000_000 // the clock was set back
		}
		b.add(&events[i], received, 0)
	}
	return s.seal(b, header{first: 41, epoch: 2, monotonic: 987654321, cumulative: 1000, flags: flagClockSynced, bootID: [16]byte{1, 2, 3}})
}

// sampleEntries is what a reader gets of sampleBlock.
func sampleEntries() []gateway.Entry {
	var entries []gateway.Entry
	for i, e := range sample() {
		received := time.UnixMicro(sampleWall + int64(i)*1000).UTC()
		if i == 5 {
			received = received.Add(-time.Hour)
		}
		if e.ID == "" {
			e.ID = gateway.EventID("0123456789abcdef", 2, gateway.Offset(41+i))
		}
		if e.Time.IsZero() {
			e.Time = received
		}
		entries = append(entries, gateway.Entry{Offset: gateway.Offset(41 + i), Received: received, Event: e})
	}
	return entries
}

func testDecoder(t testing.TB) *decoder {
	t.Helper()
	d, err := newDecoder("0123456789abcdef", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.dec.Close)
	return d
}

func TestBlockRoundTrip(t *testing.T) {
	t.Parallel()
	block := sampleBlock(t)
	h, entries, err := testDecoder(t).decode(block)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sampleEntries(), entries); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want := header{codec: codecZstd, flags: flagClockSynced, count: 9, first: 41, epoch: 2, rawLen: h.rawLen, wall: sampleWall,
		monotonic: 987654321, cumulative: 1000, bootID: [16]byte{1, 2, 3}}
	if h != want {
		t.Errorf("got header %+v, want %+v", h, want)
	}
	for i := range entries { // appending to one event's data must not reach the next one's
		if d := entries[i].Event.Data; cap(d) != len(d) {
			t.Errorf("event %d: data of %d bytes has capacity %d", i, len(d), cap(d))
		}
	}
}

// TestOldBlocks opens the blocks of all format versions there have been.
func TestOldBlocks(t *testing.T) {
	t.Parallel()
	current := filepath.Join("testdata", fmt.Sprintf("block-v%d.bin", blockVersion))
	if *update {
		if err := os.WriteFile(current, sampleBlock(t), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob("testdata/block-v*.bin")
	if err != nil || len(files) != blockVersion {
		t.Fatalf("got %d fixtures, %v, want %d", len(files), err, blockVersion)
	}
	for _, file := range files {
		block, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, entries, err := testDecoder(t).decode(block)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if diff := cmp.Diff(sampleEntries(), entries); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
}

// TestEveryFlippedBitIsFound: no damage of one bit passes the checksum.
func TestEveryFlippedBitIsFound(t *testing.T) {
	t.Parallel()
	block, d := sampleBlock(t), testDecoder(t)
	for i := range len(block) * 8 {
		block[i/8] ^= 1 << (i % 8)
		if _, _, err := d.decode(block); err == nil {
			t.Fatalf("bit %d of byte %d: got no error", i%8, i/8)
		}
		block[i/8] ^= 1 << (i % 8)
	}
	for n := range len(block) {
		if _, _, err := d.decode(block[:n]); err == nil {
			t.Fatalf("the first %d bytes of %d: got no error", n, len(block))
		}
	}
}

func TestNewerBlockIsRefused(t *testing.T) {
	t.Parallel()
	block := sampleBlock(t)
	block[4] = blockVersion + 1
	binary.LittleEndian.PutUint32(block[8:], blockChecksum(block))
	if _, _, err := testDecoder(t).decode(block); err == nil || !strings.Contains(err.Error(), "format version 2, this gateway reads version 1") {
		t.Errorf("got %v, want a sentence about the version", err)
	}
}

// FuzzDecodeBlock gives the decoder blocks whose checksum is right and whose content is anything.
func FuzzDecodeBlock(f *testing.F) {
	block := blockOf(f, sample()[:8]) // without the long one
	f.Add(block)
	d := testDecoder(f)
	h, err := parseHeader(block)
	if err != nil {
		f.Fatal(err)
	}
	raw, err := d.body(&h, block[headerSize:])
	if err != nil {
		f.Fatal(err)
	}
	plain := append(append([]byte(nil), block[:headerSize]...), raw...)
	plain[5] = codecNone
	f.Add(plain)
	f.Add(block[:headerSize])
	f.Fuzz(func(t *testing.T, input []byte) {
		block := append([]byte(nil), input...)
		if len(block) >= headerSize {
			copy(block, blockMagic)
			block[4] = blockVersion
			binary.LittleEndian.PutUint32(block[8:], blockChecksum(block))
		}
		h, entries, err := d.decode(block)
		if err != nil {
			if entries != nil {
				t.Errorf("got entries with error %v", err)
			}
			return
		}
		if len(entries) != int(h.count) {
			t.Errorf("got %d entries, the header says %d", len(entries), h.count)
		}
		for i := range entries {
			if entries[i].Offset != h.first+gateway.Offset(i) {
				t.Errorf("entry %d: got offset %d", i, entries[i].Offset)
			}
		}
	})
}

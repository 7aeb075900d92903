package buffer

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gateway"
)

func TestAppendAndReopen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openLog(t, Options{Dir: dir})
	if last := mustAppend(t, l, event("one"), event("two")); last != 2 {
		t.Fatalf("got last %d, want 2", last)
	}
	mustAppend(t, l, event("three"))
	before, id := readTo(t, l, 0, 3), l.Status().LogID
	closeLog(t, l)

	l = openLog(t, Options{Dir: dir})
	if diff := cmp.Diff(before, readTo(t, l, 0, 3)); diff != "" {
		t.Errorf("after reopening (-before +after):\n%s", diff)
	}
	if s := l.Status(); s.LogID != id || s.First != 1 || s.Last != 3 || s.Epoch != 1 {
		t.Errorf("got status %+v after reopening, want log %s with 1 to 3", s, id)
	}
	if last := mustAppend(t, l, event("four")); last != 4 {
		t.Errorf("got offset %d after reopening, want 4", last)
	}
}

func TestEventIDs(t *testing.T) {
	t.Parallel()
	l := openLog(t, Options{})
	named := event("b")
	named.ID = "mine"
	for range 4 { // over 9 and 10, where the offsets get longer
		mustAppend(t, l, event("a"), named, event("c"))
	}
	s := l.Status()
	for _, e := range readTo(t, l, 0, 12) {
		want := gateway.EventID(s.LogID, s.Epoch, e.Offset)
		if string(e.Event.Data) == "b" {
			want = "mine"
		}
		if e.Event.ID != want {
			t.Errorf("offset %d: got ID %q, want %q", e.Offset, e.Event.ID, want)
		}
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openLog(t, Options{Dir: dir})
	var kv []gateway.KeyValue
	for i := range 200 { // more than a page of Scan
		kv = append(kv, gateway.KeyValue{Key: "dead/" + string(rune('a'+i%26)) + strings.Repeat("x", i/26), Value: []byte{byte(i)}})
	}
	mustCommit(t, l, gateway.Batch{KV: append(kv, gateway.KeyValue{Key: "other", Value: []byte("v")})})
	mustCommit(t, l, gateway.Batch{KV: []gateway.KeyValue{{Key: kv[7].Key}}})
	closeLog(t, l)
	l = openLog(t, Options{Dir: dir})
	if _, err := l.Get(kv[7].Key); !errors.Is(err, ErrNotFound) {
		t.Errorf("deleted key: got %v, want ErrNotFound", err)
	}
	if v, err := l.Get("other"); err != nil || string(v) != "v" {
		t.Errorf("got %q, %v, want v", v, err)
	}
	seen, before := 0, ""
	err := l.Scan("dead/", func(key string, _ []byte) error {
		if key <= before || !strings.HasPrefix(key, "dead/") {
			t.Errorf("got key %q after %q", key, before)
		}
		seen, before = seen+1, key
		_, err := l.Get(key) // the log may be called
		return err
	})
	if err != nil || seen != len(kv)-1 {
		t.Errorf("got %d keys, %v, want %d", seen, err, len(kv)-1)
	}
	stop := errors.New("enough")
	if err := l.Scan("", func(string, []byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v from Scan, want fn's error", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	little := hooks{free: func(string) (int64, error) { return 1 << 20, nil }}
	for name, c := range map[string]struct {
		o    Options
		want string
	}{
		"no directory":     {Options{}, "no data directory was given"},
		"a file":           {Options{Dir: file}, "is not a directory"},
		"below a file":     {Options{Dir: filepath.Join(file, "x")}, "is not a directory"},
		"unwritable":       {Options{Dir: "/sys/gateway-test"}, "cannot be written"},
		"disk full":        {Options{Dir: t.TempDir(), hooks: little}, "has no room: its disk has 1.0 MiB left"},
		"bound too small":  {Options{Dir: t.TempDir(), MaxSize: 1 << 20}, "the smallest is 64.0 MiB"},
		"event too large":  {Options{Dir: t.TempDir(), MaxEventSize: 1 << 20}, "the most is"},
		"interval too big": {Options{Dir: t.TempDir(), CommitInterval: 1 << 60}, "between 0 and 1m"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := Open(c.o)
			if err == nil {
				closeLog(t, l)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

// A log that stopped in front of a full disk is opened again with what that left, and delivers; it takes events when
// there is room.
func TestOpenOnACrowdedDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, event("one"))
	closeLog(t, l)
	var room atomic.Int64
	room.Store(DefaultReserve - 1)
	l = openLog(t, Options{Dir: dir, hooks: hooks{free: func(string) (int64, error) { return room.Load(), nil }}})
	if _, err := l.Append(t.Context(), event("two")); !errors.Is(err, gateway.ErrFull) {
		t.Errorf("append: got %v, want ErrFull", err)
	}
	readTo(t, l, 0, 1)
	room.Store(1 << 30)
	waitFor(t, "room", func() bool { _, err := l.Append(t.Context(), event("two")); return err == nil })
}

func TestOpenTwice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	openLog(t, Options{Dir: dir})
	_, err := Open(Options{Dir: dir})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "stop it or choose another data_dir") {
		t.Errorf("got %v, want a sentence about another process", err)
	}
}

func TestOpenRefusesNewerFormat(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openLog(t, Options{Dir: dir})
	keepsInvariants(dir, false)
	mustAppend(t, l, event("x"))
	if err := l.engine.commit([]write{{[]byte(metaFormat), binary.AppendUvarint(nil, storeVersion+1)}}); err != nil {
		t.Fatal(err)
	}
	closeLog(t, l)
	if _, err := Open(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "written by a newer gateway (store format 2, this one knows 1)") {
		t.Errorf("got %v, want a sentence about a newer gateway", err)
	}
	// The refusal left everything as it was: the directory is free, and nothing was written.
	e := testEngine(t, filepath.Join(dir, engineName))
	if v, err := getUvarint(e, metaFormat); err != nil || v != storeVersion+1 {
		t.Errorf("got format %d, %v after the refusal, want %d", v, err, storeVersion+1)
	}
}

func TestFailedCommitStopsTheLog(t *testing.T) {
	t.Parallel()
	broken := errors.New("i/o error")
	calls := 0
	var out strings.Builder
	l := openLog(t, Options{
		Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelError})),
		hooks: hooks{beforeCommit: func() error {
			if calls++; calls > 1 {
				return broken
			}
			return nil
		}},
	})
	mustAppend(t, l, event("kept"))
	for range 2 {
		if _, err := l.Append(testContext(t), event("lost")); !errors.Is(err, broken) {
			t.Errorf("got %v, want the disk's error", err)
		}
	}
	if s := l.Status(); s.Last != 1 || !strings.Contains(s.Failed, "i/o error") {
		t.Errorf("got last %d, failed %q, want 1 and the error", s.Last, s.Failed)
	}
	if got := readTo(t, l, 0, 1); len(got) != 1 {
		t.Errorf("got %d events, want the one that was kept", len(got))
	}
	closeLog(t, l)
	if n := strings.Count(out.String(), "restart the gateway"); n != 1 {
		t.Errorf("got %d lines that say what to do, want 1: %s", n, out.String())
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	l := openLog(t, Options{})
	acked := 0
	for range 100 {
		err := l.Submit(testContext(t), gateway.Batch{Events: []gateway.Event{event("x")}}, func(_ gateway.Offset, err error) {
			if err == nil {
				acked++
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	waiting := make(chan error, 1)
	go func() {
		_, err := l.NewReader(100).Next(testContext(t), 1)
		waiting <- err
	}()
	closeLog(t, l)
	if acked != 100 {
		t.Errorf("got %d acknowledged at the end of Close, want 100", acked)
	}
	if err := <-waiting; !errors.Is(err, gateway.ErrClosed) {
		t.Errorf("waiting reader: got %v, want ErrClosed", err)
	}
	if _, err := l.Append(context.Background(), event("x")); !errors.Is(err, gateway.ErrClosed) {
		t.Errorf("append: got %v, want ErrClosed", err)
	}
	if _, err := l.Get("x"); !errors.Is(err, gateway.ErrClosed) {
		t.Errorf("get: got %v, want ErrClosed", err)
	}
	closeLog(t, l)
}

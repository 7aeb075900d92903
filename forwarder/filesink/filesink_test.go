package filesink_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gateway"
	"gateway/forwarder/filesink"
	"gateway/internal/gatewaytest"
)

func open(t *testing.T, o filesink.Options) *filesink.Sink {
	t.Helper()
	s, err := filesink.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func options(t *testing.T) filesink.Options {
	o := filesink.Default()
	o.Path = filepath.Join(t.TempDir(), "events.jsonl")
	return o
}

func readAll(t *testing.T, path string) []gateway.Event {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var events []gateway.Event
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		e, err := gateway.ParseJSON(lines.Bytes())
		if err != nil {
			t.Fatalf("line %d of %s: %v", len(events)+1, path, err)
		}
		events = append(events, e)
	}
	return events
}

func TestSink(t *testing.T) {
	t.Parallel()
	gatewaytest.TestSink(t, gatewaytest.SinkUnderTest{
		New: func(t *testing.T) (gateway.Sink, func(int) []gateway.Event) {
			o := options(t)
			return open(t, o), func(int) []gateway.Event { return readAll(t, o.Path) }
		},
		NewUnreachable: func(t *testing.T) gateway.Sink {
			o := options(t)
			o.Path = filepath.Join(filepath.Dir(o.Path), "missing", "events.jsonl")
			return open(t, o)
		},
	})
}

func TestTornLastLineIsCutOff(t *testing.T) {
	t.Parallel()
	o := options(t)
	var logged strings.Builder
	o.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	first := open(t, o)
	if err := first.Send(t.Context(), gatewaytest.Entries(1, 2)); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(o.Path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"specversion":"1.0","id":"half` + strings.Repeat("x", 100<<10)); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := open(t, o).Send(t.Context(), gatewaytest.Entries(3, 1)); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, o.Path); len(got) != 3 || got[2].ID != "id-3" {
		t.Errorf("got %d lines, the last %q, want 3 and id-3", len(got), got[len(got)-1].ID)
	}
	if !strings.Contains(logged.String(), "torn last line") {
		t.Errorf("got the log %q, want a word about the torn line", logged.String())
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.MaxSize, o.MaxFiles = 600, 3
	var logged strings.Builder
	o.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	s := open(t, o)
	for i := range 12 {
		if err := s.Send(t.Context(), gatewaytest.Entries(i+1, 1)); err != nil {
			t.Fatal(err)
		}
	}
	var ids []string
	for _, name := range []string{o.Path + ".2", o.Path + ".1", o.Path} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > o.MaxSize {
			t.Errorf("%s has %d bytes, want at most %d", name, info.Size(), o.MaxSize)
		}
		for _, e := range readAll(t, name) {
			ids = append(ids, e.ID)
		}
	}
	if len(ids) == 0 || ids[len(ids)-1] != "id-12" {
		t.Fatalf("got %v, want the newest to be id-12", ids)
	}
	if _, err := os.Stat(o.Path + ".3"); err == nil {
		t.Error("there is a fourth file, want three")
	}
	if !strings.Contains(logged.String(), "oldest file deleted") {
		t.Errorf("got the log %q, want a word about the deleted file", logged.String())
	}
}

func TestTroubleIsTheEndpoints(t *testing.T) {
	t.Parallel()
	o := options(t)
	if err := os.Mkdir(o.Path, 0o700); err != nil {
		t.Fatal(err)
	}
	err := open(t, o).Send(t.Context(), gatewaytest.Entries(1, 1))
	if err == nil || errors.Is(err, gateway.ErrPermanent) {
		t.Errorf("a folder in the file's place: got %v, want an error that is not permanent", err)
	}
	o.Path = filepath.Join(filepath.Dir(o.Path), "missing", "f")
	err = open(t, o).Send(t.Context(), gatewaytest.Entries(1, 1))
	if !errors.Is(err, gateway.ErrBlocked) || !strings.Contains(err.Error(), "make it") {
		t.Errorf("a missing folder: got %v, want Blocked and what to do", err)
	}
}

func TestEventWithoutJSONFormIsPermanent(t *testing.T) {
	t.Parallel()
	o := options(t)
	batch := gatewaytest.Entries(1, 3)
	batch[1].Event.ID = ""
	err := open(t, o).Send(t.Context(), batch)
	var part *gateway.BatchError
	if !errors.As(err, &part) || part.Errors[0] != nil || !errors.Is(part.Errors[1], gateway.ErrPermanent) || part.Errors[2] != nil {
		t.Fatalf("got %v, want the second of three permanent", err)
	}
	if got := readAll(t, o.Path); len(got) != 2 {
		t.Errorf("got %d lines, want 2", len(got))
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for _, o := range []filesink.Options{
		{MaxFiles: 1}, {Path: "x"}, {Path: "x", MaxFiles: 1, MaxSize: -1},
	} {
		if _, err := filesink.New(o); err == nil {
			t.Errorf("%+v: got no error", o)
		}
	}
}

func TestEndedContextSendsNothing(t *testing.T) {
	t.Parallel()
	o := options(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := open(t, o).Send(ctx, gatewaytest.Entries(1, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if _, err := os.Stat(o.Path); err == nil {
		t.Error("the file was made")
	}
}

// A file that logrotate moved away, or somebody deleted, is not written to any more: what was delivered must be at Path.
func TestMovedFileIsLeft(t *testing.T) {
	t.Parallel()
	o := options(t)
	s := open(t, o)
	for i, away := range []func() error{
		func() error { return nil },
		func() error { return os.Rename(o.Path, o.Path+".moved") },
		func() error { return os.Remove(o.Path) },
	} {
		if err := away(); err != nil {
			t.Fatal(err)
		}
		if err := s.Send(t.Context(), gatewaytest.Entries(i+1, 1)); err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, o.Path); len(got) != 1 {
			t.Errorf("round %d: got %d lines at the path, want 1", i, len(got))
		}
	}
}

func TestFileOfSomebodyElseIsLeftAlone(t *testing.T) {
	t.Parallel()
	o := options(t)
	const theirs = "a note\nwithout an end"
	if err := os.WriteFile(o.Path, []byte(theirs), 0o600); err != nil {
		t.Fatal(err)
	}
	err := open(t, o).Send(t.Context(), gatewaytest.Entries(1, 1))
	if !errors.Is(err, gateway.ErrBlocked) {
		t.Errorf("got %v, want Blocked", err)
	}
	if data, err := os.ReadFile(o.Path); err != nil || string(data) != theirs {
		t.Errorf("the file is now %q (%v), want it untouched", data, err)
	}
	o.Path = os.DevNull
	if err := open(t, o).Send(t.Context(), gatewaytest.Entries(1, 1)); !errors.Is(err, gateway.ErrBlocked) {
		t.Errorf("%s: got %v, want Blocked", o.Path, err)
	}
}

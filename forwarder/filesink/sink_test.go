package filesink

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gateway"
	"gateway/internal/gatewaytest"
)

func newSink(t *testing.T, o Options) *Sink {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func options(path string) Options {
	o := Default()
	o.Path = path
	return o
}

// read returns the events of the files, which must be whole lines.
func read(t *testing.T, paths ...string) []gateway.Event {
	t.Helper()
	var events []gateway.Event
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(data) {
			e, err := gateway.ParseJSON(bytes.TrimSuffix(line, []byte("\n")))
			if err != nil || line[len(line)-1] != '\n' {
				t.Fatalf("%s has the line %.100q: %v", path, line, err)
			}
			events = append(events, e)
		}
	}
	return events
}

func ids(events []gateway.Event) string {
	var all []string
	for _, e := range events {
		all = append(all, strings.TrimPrefix(e.ID, "id-"))
	}
	return strings.Join(all, " ")
}

func TestConformance(t *testing.T) {
	t.Parallel()
	gatewaytest.TestSink(t, gatewaytest.SinkUnderTest{
		New: func(t *testing.T) (gateway.Sink, func(int) []gateway.Event) {
			path := filepath.Join(t.TempDir(), "events.jsonl")
			return newSink(t, options(path)), func(int) []gateway.Event { return read(t, path) }
		},
		NewUnreachable: func(t *testing.T) gateway.Sink { return newSink(t, options(filepath.Join(t.TempDir(), "no", "such"))) },
	})
}

func TestRotatesBySizeAndKeepsOrder(t *testing.T) {
	t.Parallel()
	o := options(filepath.Join(t.TempDir(), "events.jsonl"))
	o.MaxSize, o.MaxFiles = 4096, 1000
	s := newSink(t, o)
	total := 0
	for _, n := range []int{1, 90, 3, 30} { // 90 need several files
		if err := s.Send(t.Context(), gatewaytest.Entries(total+1, n)); err != nil {
			t.Fatal(err)
		}
		total += n
	}
	paths, _ := filepath.Glob(o.Path + ".*")
	slices.Sort(paths)
	paths = append(paths, o.Path)
	if len(paths) < 4 {
		t.Errorf("%d files, want several", len(paths))
	}
	for _, path := range paths {
		if info, err := os.Stat(path); err != nil || info.Size() > o.MaxSize {
			t.Errorf("%s: %v, %d bytes, want %d at most", path, err, info.Size(), o.MaxSize)
		}
	}
	want := make([]string, total)
	for i := range want {
		want[i] = fmt.Sprint(i + 1)
	}
	if got := ids(read(t, paths...)); got != strings.Join(want, " ") {
		t.Errorf("got %s", got)
	}
}

func TestDeletesTheOldestFilesAndSaysSo(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	dir := t.TempDir()
	o := options(filepath.Join(dir, "events.jsonl"))
	o.MaxSize, o.MaxFiles, o.Logger = 4096, 3, slog.New(slog.NewTextHandler(&out, nil))
	other := filepath.Join(dir, "events.jsonl.bak")
	if err := os.WriteFile(other, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 5 { // a sink of its own each time: the numbers go on
		s := newSink(t, o)
		if err := s.Send(t.Context(), gatewaytest.Entries(1+50*i, 50)); err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	paths, _ := filepath.Glob(o.Path + "*")
	if len(paths) != 4 || !slices.Contains(paths, other) || slices.Contains(paths, o.Path+".000001") {
		t.Errorf("got %v, want 3 files without the first, and the one that is not ours", paths)
	}
	if got := ids(read(t, o.Path)); !strings.HasSuffix(got, " 250") {
		t.Errorf("the current file ends with %s, want 250", got)
	}
	if n := strings.Count(out.String(), "deleted the oldest file"); n < 2 {
		t.Errorf("%d lines about deleted files in %s", n, out.String())
	}
}

func TestGoesOnAfterATornLastLine(t *testing.T) {
	t.Parallel()
	whole, err := gatewaytest.Entries(1, 1)[0].Event.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	long := append(whole[:len(whole)-1:len(whole)-1], bytes.Repeat([]byte{' '}, 200<<10)...)
	for name, c := range map[string]struct{ tail, want string }{
		"nothing torn":       {"", "1 2"},
		"one byte":           {"{", "1 2"},
		"half of an event":   {string(whole[:len(whole)/2]), "1 2"},
		"all but the end":    {string(whole), "1 2"},
		"longer than a page": {string(long), "1 2"},
	} {
		path := filepath.Join(t.TempDir(), "events.jsonl")
		if err := os.WriteFile(path, append(append(slices.Clone(whole), '\n'), c.tail...), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := newSink(t, options(path)).Send(t.Context(), gatewaytest.Entries(2, 1)); err != nil {
			t.Fatal(err)
		}
		if got := ids(read(t, path)); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
	path := filepath.Join(t.TempDir(), "notes.txt")
	os.WriteFile(path, []byte("not ours"), 0o600)
	if err := newSink(t, options(path)).Send(t.Context(), gatewaytest.Entries(1, 1)); err != nil {
		t.Fatal(err)
	}
	if data, _ := os.ReadFile(path); !strings.HasPrefix(string(data), "not ours\n{") {
		t.Errorf("a file of somebody else became %.60q", data)
	}
}

func TestAFileThatWasMovedAwayIsMadeAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.jsonl")
	s := newSink(t, options(path))
	if err := s.Send(t.Context(), gatewaytest.Entries(1, 1)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), gatewaytest.Entries(2, 1)); err != nil {
		t.Fatal(err)
	}
	if got := ids(read(t, path+".moved", path)); got != "1 2" {
		t.Errorf("got %s, want 1 2", got)
	}
}

func TestAnEventThatIsNoCloudEventIsPermanentAndTheOthersAreWritten(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.jsonl")
	s := newSink(t, options(path))
	batch := gatewaytest.Entries(1, 3)
	batch[1].Event.Source = ""
	var parts *gateway.BatchError
	err := s.Send(t.Context(), batch)
	if !errors.As(err, &parts) || parts.Errors[0] != nil || !errors.Is(parts.Errors[1], gateway.ErrPermanent) || parts.Errors[2] != nil {
		t.Errorf("got %v, want the second permanent", err)
	}
	if got := ids(read(t, path)); got != "1 3" {
		t.Errorf("got %s, want 1 3", got)
	}
}

func TestTroubleWithThePathIsBlockedAndSaysWhatToDo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	os.WriteFile(file, nil, 0o600)
	closed := filepath.Join(dir, "closed")
	os.Mkdir(closed, 0o500)
	for path, want := range map[string]string{
		filepath.Join(dir, "no", "such"): "create the folder",
		dir:                              "must be a file",
		filepath.Join(file, "below"):     "must be a file",
		"/dev/null":                      "not a regular file",
		filepath.Join(closed, "file"):    "needs to be able to write",
	} {
		if strings.HasPrefix(path, closed) && os.Geteuid() == 0 {
			continue // root may write everywhere
		}
		err := newSink(t, options(path)).Send(t.Context(), gatewaytest.Entries(1, 1))
		if !errors.Is(err, gateway.ErrBlocked) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want it blocked and to say %q", path, err, want)
		}
	}
	if err := explain("x", os.ErrPermission); !errors.Is(err, gateway.ErrBlocked) || !strings.Contains(err.Error(), "needs to be able to write") {
		t.Errorf("permission: got %v", err)
	}
}

func TestNewSaysAllThatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := New(Options{})
	if err == nil {
		t.Fatal("want an error")
	}
	for _, want := range []string{"path:", "max_size:", "max_files:"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to say %q", err, want)
		}
	}
	if _, err := New(options("folder/")); err == nil {
		t.Error("a path that ends with a slash was taken")
	}
}

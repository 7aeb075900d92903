package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gateway"
)

func TestImportTakesBackWhatWasExported(t *testing.T) {
	t.Parallel()
	from, to := newWorld(t, t.TempDir(), nil), newWorld(t, t.TempDir(), nil)
	from.fill(t, 1500)
	var text []byte
	var want []gateway.Event
	if err := from.client.Events(testContext(t), gateway.Query{}, func(e gateway.Entry) (err error) {
		text, err = e.Event.AppendJSON(text)
		text = append(text, "\r\n\n"...) // empty lines do no harm
		want = append(want, e.Event)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	n, err := to.client.Import(testContext(t), bytes.NewReader(text))
	if err != nil || n != 1500 {
		t.Fatalf("got %d, %v; want 1500", n, err)
	}
	var got []gateway.Event
	if err := to.client.Events(testContext(t), gateway.Query{}, func(e gateway.Entry) error {
		got = append(got, e.Event)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-exported +imported):\n%s", diff)
	}
	if st := to.log.Status(); st.Commits > 20 {
		t.Errorf("got %d commits for 1500 events, want them in batches", st.Commits)
	}
}

func eventLines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"specversion":"1.0","id":"%d","source":"s","type":"t","data":%d}`+"\n", i, i)
	}
	return b.String()
}

func TestImportNamesTheBadLine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text     string
		imported int
		want     string
	}{
		"not JSON":   {eventLines(700) + "\nhello\n" + eventLines(5), 700, "line 702: "},
		"no source":  {eventLines(3) + `{"specversion":"1.0","id":"x","type":"t"}`, 3, "line 4: "},
		"too long":   {eventLines(2) + strings.Repeat("x", maxLine+1) + "\n" + eventLines(1), 2, "line 3: "},
		"too large":  {eventLines(2) + `{"specversion":"1.0","id":"x","source":"s","type":"t","data":"` + strings.Repeat("x", 400<<10) + `"}` + "\n" + eventLines(1), 2, "line 3: "},
		"much after": {"{}\n" + strings.Repeat(eventLines(1000), 100), 0, "line 1: "},
		"nothing":    {"", 0, ""},
	} {
		w := newWorld(t, t.TempDir(), nil)
		n, err := w.client.Import(testContext(t), strings.NewReader(c.text))
		if n != c.imported || (err == nil) != (c.want == "") || err != nil && !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: got %d, %v; want %d and %q", name, n, err, c.imported, c.want)
		}
		if last := w.log.Status().Last; int(last) != c.imported {
			t.Errorf("%s: the log ends at %d, want %d", name, last, c.imported)
		}
	}
}

func TestImportIntoAFullLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t.TempDir(), func(w *world) {
		calls := 0
		w.log.append = func(ctx context.Context, events ...gateway.Event) (gateway.Offset, error) {
			if calls++; calls > 2 {
				return 0, gateway.ErrFull
			}
			return w.log.Log.Append(ctx, events...)
		}
	})
	n, err := w.client.Import(testContext(t), strings.NewReader(eventLines(2000)))
	if n != 1000 || !errors.Is(err, gateway.ErrFull) || !strings.HasPrefix(err.Error(), "line 1001: ") {
		t.Errorf("got %d, %v; want 1000, and that line 1001 found the log full", n, err)
	}
}

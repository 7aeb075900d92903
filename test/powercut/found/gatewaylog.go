package found

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"gateway"
	"gateway/buffer"
)

// InGateway opens the gateway's log in dir, which it changes, and reads all of it. An error is in the result, so that
// it can be told over a console.
func InGateway(ctx context.Context, dir string) Found {
	f := Found{Clients: map[int]*Ranges{}}
	if err := f.readGateway(ctx, dir); err != nil {
		f.Error = err.Error()
	}
	return f
}

func (f *Found) readGateway(ctx context.Context, dir string) (err error) {
	var said bytes.Buffer // whole once the log is closed
	defer func() { f.Notes = append(f.Notes, lines(said.String())...) }()
	l, err := buffer.Open(buffer.Options{Dir: dir, Reserve: 32 << 20, Logger: messages(&said)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	status := l.Status()
	f.First, f.Last = uint64(status.First), uint64(status.Last)
	r := l.NewReader(0)
	defer func() { err = errors.Join(err, r.Close()) }()
	for at := gateway.Offset(0); at < status.Last; {
		entries, err := r.Next(ctx, 1000)
		if err != nil {
			return fmt.Errorf("read log behind offset %d: %w", at, err)
		}
		for _, e := range entries {
			f.takeEntry(e)
		}
		at = entries[len(entries)-1].Offset
	}
	return nil
}

func (f *Found) takeEntry(e gateway.Entry) {
	where := fmt.Sprintf("offset %d", e.Offset)
	switch {
	case e.Event.Type == gateway.TypeGap:
		f.Gaps++
	case !strings.HasPrefix(e.Event.Subject, TopicPrefix):
		f.fault(&f.Foreign, "%s: %s %q", where, e.Event.Type, e.Event.Subject)
	default:
		f.Events++
		f.take(e.Event.Data, where)
	}
}

// messages is a logger that writes only what warnings and errors are about, a line each.
func messages(out io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{
		Level: slog.LevelWarn,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key != slog.MessageKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

func lines(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}

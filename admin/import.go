package admin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"gateway"
)

const (
	// maxLine bounds a line of JSON: an event of the largest size, with every byte escaped.
	maxLine = 4 << 20
	// importBytes and importEvents bound what is appended at once: it must fit into one transaction of the log.
	importBytes  = 128 << 10
	importEvents = 500
	// drainMax is how much of what follows a bad line is read all the same, so that the client gets to the answer.
	drainMax = 1 << 30
)

// importAnswer is how many events were appended.
type importAnswer struct {
	Imported int `json:"imported"`
}

// importEvents appends the events of the request's body, CloudEvents as JSON lines, in order. What was appended before a
// bad line stays.
func (s *Server) importEvents(l *lines, r *http.Request) {
	body := &patient{r.Body, l.control}
	n, line, err := Import(r.Context(), s.o.Log.Append, body)
	if err == nil {
		answer(l.w, http.StatusOK, importAnswer{n})
		return
	}
	_, _ = io.CopyN(io.Discard, body, drainMax) // ends with an error as a rule, at the end of the body
	answer(l.w, importCode(err), errorAnswer{Error: err.Error(), Imported: n, Line: line})
}

func importCode(err error) int {
	switch {
	case errors.Is(err, gateway.ErrFull):
		return http.StatusInsufficientStorage
	case errors.Is(err, gateway.ErrInvalidEvent), errors.Is(err, gateway.ErrPermanent), errors.Is(err, bufio.ErrTooLong):
		return http.StatusBadRequest
	case errors.Is(err, gateway.ErrClosed), errors.Is(err, context.Canceled):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// patient is a body that is waited for as long as it moves.
type patient struct {
	body    io.Reader
	control *http.ResponseController
}

// Read implements io.Reader.
func (p *patient) Read(b []byte) (int, error) {
	if err := p.control.SetReadDeadline(time.Now().Add(streamTimeout)); err != nil {
		return 0, err
	}
	return p.body.Read(b)
}

// AppendFunc is the Append of a log.
type AppendFunc func(ctx context.Context, events ...gateway.Event) (gateway.Offset, error)

// Import appends the events of r, CloudEvents as JSON lines; empty lines are passed over. It returns how many are in the
// log for good and, with an error, the line that it is about: that which is wrong, or the first that was not appended.
func Import(ctx context.Context, add AppendFunc, r io.Reader) (n, line int, err error) {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 64<<10), maxLine)
	b := importer{add: add}
	for in.Scan() {
		line++
		text := bytes.TrimSpace(in.Bytes())
		if len(text) == 0 {
			continue
		}
		e, err := gateway.ParseJSON(text)
		if err != nil {
			return b.fail(ctx, line, err)
		}
		if err := b.put(ctx, e, line, len(text)); err != nil {
			return b.n, b.first, fmt.Errorf("line %d: %w", b.first, err)
		}
	}
	if err := in.Err(); err != nil {
		return b.fail(ctx, line+1, err)
	}
	if err := b.flush(ctx); err != nil {
		return b.n, b.first, fmt.Errorf("line %d: %w", b.first, err)
	}
	return b.n, 0, nil
}

// importer gathers events to append together.
type importer struct {
	add    AppendFunc
	events []gateway.Event
	bytes  int // of their lines
	first  int // the line of the first of them
	n      int // appended before
}

func (b *importer) put(ctx context.Context, e gateway.Event, line, size int) error {
	if b.bytes+size > importBytes || len(b.events) == importEvents {
		if err := b.flush(ctx); err != nil {
			return err
		}
	}
	if len(b.events) == 0 {
		b.first = line
	}
	b.events, b.bytes = append(b.events, e), b.bytes+size
	return nil
}

func (b *importer) flush(ctx context.Context) error {
	if len(b.events) == 0 {
		return nil
	}
	if _, err := b.add(ctx, b.events...); err != nil {
		return err
	}
	b.n += len(b.events)
	b.events, b.bytes = b.events[:0], 0
	return nil
}

// fail appends what is before the line that err is about.
func (b *importer) fail(ctx context.Context, line int, err error) (int, int, error) {
	if failed := b.flush(ctx); failed != nil {
		return b.n, b.first, fmt.Errorf("line %d: %w", b.first, failed)
	}
	return b.n, line, fmt.Errorf("line %d: %w", line, err)
}

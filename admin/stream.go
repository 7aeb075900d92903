package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const contentTypeNDJSON = "application/x-ndjson"

var (
	errBusy     = fmt.Errorf("%d requests of this kind are under way: try again later", streams)
	errStopping = errors.New("the gateway is stopping")
)

// stream makes do into what serves long requests, of which there is a bounded number.
func (s *Server) stream(do func(*lines, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
		default:
			fail(w, http.StatusServiceUnavailable, errBusy)
			return
		}
		l := &lines{w: w, control: http.NewResponseController(w)}
		// The server's timeout would end the request, and a body that was not read must not hold up its end.
		if err := l.control.SetReadDeadline(time.Time{}); err != nil {
			fail(w, http.StatusInternalServerError, err)
			return
		}
		do(l, r)
		_ = l.control.SetReadDeadline(time.Now().Add(stopTimeout)) // fails where the connection is gone
	}
}

// lines writes an answer of JSON lines. The first decides the status: an error before it has a code of its own.
type lines struct {
	w       http.ResponseWriter
	control *http.ResponseController
	begun   bool
}

// write writes whole lines. Its error says that the client is gone, or has not read for streamTimeout.
func (l *lines) write(text []byte) error {
	if err := l.control.SetWriteDeadline(time.Now().Add(streamTimeout)); err != nil {
		return err
	}
	l.begin()
	_, err := l.w.Write(text)
	return err
}

func (l *lines) begin() {
	if !l.begun {
		l.begun = true
		l.w.Header().Set("Content-Type", contentTypeNDJSON)
	}
}

// flush sends what was written.
func (l *lines) flush() error { return l.control.Flush() }

// json writes v as a line and sends it.
func (l *lines) json(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := l.write(append(text, '\n')); err != nil {
		return err
	}
	return l.flush()
}

// end ends the answer with err, as a status of its own or a last line; nothing for nil, or where the client has gone.
func (l *lines) end(r *http.Request, code int, err error) {
	switch {
	case err == nil:
		return
	case r.Context().Err() != nil:
		err, code = errStopping, http.StatusServiceUnavailable // or the client has gone, and nobody reads this
	}
	// What is written in place of an event must not wait for long.
	_ = l.control.SetWriteDeadline(time.Now().Add(stopTimeout))
	if !l.begun {
		fail(l.w, code, err)
		return
	}
	if text, failed := json.Marshal(errorAnswer{Error: err.Error()}); failed == nil {
		_, _ = l.w.Write(append(text, '\n'))
	}
}

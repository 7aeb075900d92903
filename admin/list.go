package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"gateway"
)

// flushBytes is about how many bytes of events are sent together.
const flushBytes = 32 << 10

// listEvents streams the entries that the query wants.
func (s *Server) listEvents(l *lines, r *http.Request) {
	var q gateway.Query
	if text := r.URL.Query().Get("q"); text != "" {
		if err := json.Unmarshal([]byte(text), &q); err != nil {
			l.end(r, http.StatusBadRequest, fmt.Errorf("q is not a query: %w", err))
			return
		}
	}
	if q.Limit < 0 {
		l.end(r, http.StatusBadRequest, errors.New("q.limit is negative: give 0 for all, or more"))
		return
	}
	if q.Follow { // the client learns at once that it does
		l.begin()
		if l.flush() != nil {
			return
		}
	}
	var text []byte
	send := func(entries []gateway.Entry) error {
		for i := range entries {
			text = append(entries[i].AppendJSON(text), '\n')
			if len(text) < flushBytes && i < len(entries)-1 {
				continue
			}
			if err := l.write(text); err != nil {
				return err
			}
			text = text[:0]
		}
		if q.Follow {
			return l.flush()
		}
		return nil
	}
	err := batches(r.Context(), s.o.Log, q, send) // the client that goes ends the request's context
	if err == nil {
		l.begin()
	}
	l.end(r, http.StatusInternalServerError, err)
}

package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"gateway"
)

// progressEvery is how often a client hears how far the log is verified.
const progressEvery = 200 * time.Millisecond

// progressLine and reportLine are the lines of a verification.
type progressLine struct {
	Done  uint64 `json:"done"`
	Total uint64 `json:"total"`
}

type reportLine struct {
	Report gateway.LogReport `json:"report"`
}

var errHeavy = errors.New("the log is being verified or compacted already: try again later")

// verify reads the log while it is in use, and streams how far it is.
func (s *Server) verify(l *lines, r *http.Request) {
	if !s.heavy.TryLock() {
		l.end(r, http.StatusConflict, errHeavy)
		return
	}
	defer s.heavy.Unlock()
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	var told time.Time
	report, err := s.o.Log.Verify(ctx, func(done, total uint64) {
		if time.Since(told) < progressEvery && done != total {
			return
		}
		told = time.Now()
		if err := l.json(progressLine{done, total}); err != nil {
			cancel(err)
		}
	})
	if err == nil {
		err = l.json(reportLine{report})
	}
	l.end(r, http.StatusInternalServerError, err)
}

// sizes is what compacting has changed: bytes on disk.
type sizes struct {
	Before int64 `json:"before"`
	After  int64 `json:"after"`
}

// compact gives space back.
func (s *Server) compact(l *lines, r *http.Request) {
	if !s.heavy.TryLock() {
		l.end(r, http.StatusConflict, errHeavy)
		return
	}
	defer s.heavy.Unlock()
	before := s.o.Log.Status().Bytes
	if err := s.o.Log.Compact(r.Context()); err != nil {
		l.end(r, http.StatusInternalServerError, err)
		return
	}
	_ = l.json(sizes{before, s.o.Log.Status().Bytes}) // whoever has gone does not need it
}

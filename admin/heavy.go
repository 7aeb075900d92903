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

// alone runs what only one client at a time may ask for. The turn is over before the answer is: who has read it may ask again at once.
func (s *Server) alone(do func() error) (status int, err error) {
	if !s.heavy.TryLock() {
		return http.StatusConflict, errHeavy
	}
	defer s.heavy.Unlock()
	return http.StatusInternalServerError, do()
}

// verify reads the log while it is in use, and streams how far it is.
func (s *Server) verify(l *lines, r *http.Request) {
	var report gateway.LogReport
	status, err := s.alone(func() (err error) {
		report, err = s.verified(l, r)
		return err
	})
	if err == nil {
		err = l.json(reportLine{report})
	}
	l.end(r, status, err)
}

// verified is what is found wrong with the log, with lines of progress on the way.
func (s *Server) verified(l *lines, r *http.Request) (gateway.LogReport, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	var told time.Time
	return s.o.Log.Verify(ctx, func(done, total uint64) {
		if time.Since(told) < progressEvery && done != total {
			return
		}
		told = time.Now()
		if err := l.json(progressLine{done, total}); err != nil {
			cancel(err)
		}
	})
}

// sizes is what compacting has changed: bytes on disk.
type sizes struct {
	Before int64 `json:"before"`
	After  int64 `json:"after"`
}

// compact gives space back.
func (s *Server) compact(l *lines, r *http.Request) {
	var changed sizes
	status, err := s.alone(func() error {
		changed.Before = s.o.Log.Status().Bytes
		err := s.o.Log.Compact(r.Context())
		changed.After = s.o.Log.Status().Bytes
		return err
	})
	if err != nil {
		l.end(r, status, err)
		return
	}
	_ = l.json(changed) // whoever has gone does not need it
}

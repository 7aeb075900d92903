package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"gateway"
)

// routes are those of the socket.
func (s *Server) routes() http.Handler {
	mux := s.publicRoutes()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, s.Status()) })
	mux.HandleFunc("GET /v1/log/events", s.stream(s.listEvents))
	mux.HandleFunc("GET /v1/log/events/{offset}", s.showEvent)
	mux.HandleFunc("POST /v1/log/events", s.stream(s.importEvents))
	mux.HandleFunc("POST /v1/log/verify", s.stream(s.verify))
	mux.HandleFunc("POST /v1/log/compact", s.stream(s.compact))
	s.deliveryRoutes(mux)
	s.deviceRoutes(mux)
	return mux
}

// publicRoutes are those that change nothing and tell no event.
func (s *Server) publicRoutes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics)
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, fmt.Errorf("there is no %s %s: see docs/api.md", r.Method, r.URL.Path))
	})
	return mux
}

// healthz says whether the gateway can keep what it is given. A log that is full can: it refuses what it cannot keep.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	text := "ok\n"
	if failed := s.o.Log.Status().Failed; failed != "" {
		w.WriteHeader(http.StatusServiceUnavailable)
		text = "the log has failed: " + failed + "\n"
	}
	_, _ = io.WriteString(w, text) // whoever has gone does not need it
}

// showEvent answers with one entry.
func (s *Server) showEvent(w http.ResponseWriter, r *http.Request) {
	offset, err := strconv.ParseUint(r.PathValue("offset"), 10, 64)
	if err != nil {
		fail(w, http.StatusBadRequest, fmt.Errorf("%q is not an offset: give a number from 1", r.PathValue("offset")))
		return
	}
	e, err := Event(r.Context(), s.o.Log, gateway.Offset(offset))
	switch {
	case errors.Is(err, ErrNoEvent):
		fail(w, http.StatusNotFound, err)
	case err != nil:
		fail(w, http.StatusInternalServerError, err)
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(append(e.AppendJSON(nil), '\n')) // whoever has gone does not need it
	}
}

// errorAnswer is what is answered in place of what was asked for, and the last line of a stream that failed.
type errorAnswer struct {
	Error string `json:"error"`
	// Imported is how many events were imported before, Line the line that is wrong.
	Imported int `json:"imported,omitempty"`
	Line     int `json:"line,omitempty"`
}

func fail(w http.ResponseWriter, code int, err error) {
	answer(w, code, errorAnswer{Error: err.Error()})
}

// answer writes v as JSON. Whoever has gone meanwhile does not need it, so errors are nobody's.
func answer(w http.ResponseWriter, code int, v any) {
	text, err := json.Marshal(v)
	if err != nil { // a time that JSON has no form for
		code, text = http.StatusInternalServerError, []byte(`{"error":"the answer has no form in JSON: is the clock right?"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(text, '\n'))
}

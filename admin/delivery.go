package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"gateway"
)

// Delivery is what can be done about delivery while the gateway runs. Its methods are called from many requests at once.
type Delivery interface {
	// Letters calls fn with the dead letters that q wants, by forwarder and offset.
	Letters(q gateway.LetterQuery, fn func(gateway.DeadLetter) error) error
	// Requeue and Drop return how many dead letters they moved or deleted.
	Requeue(ctx context.Context, q gateway.LetterQuery) (int, error)
	Drop(ctx context.Context, q gateway.LetterQuery) (int, error)
	// Replay begins one, TurnReplay pauses, resumes or cancels one.
	Replay(ctx context.Context, r ReplayRequest) (gateway.ReplayStatus, error)
	TurnReplay(ctx context.Context, forwarder, id, action string) (gateway.ReplayStatus, error)
	// Trace finds an event by its ID or offset, and says what became of it. The error wraps ErrNoEvent where there is none.
	Trace(ctx context.Context, event string) (gateway.Trace, error)
	// Reload reads the configuration again; an error says what is wrong with it, and nothing has changed.
	Reload(ctx context.Context) (gateway.Reloaded, error)
	// Forget gives up the place of a forwarder that is not in the configuration.
	Forget(ctx context.Context, forwarder string) error
}

// ReplayRequest is a replay for the named forwarder. The times of Query bound it as well as the offsets.
type ReplayRequest struct {
	Forwarder string        `json:"forwarder"`
	Query     gateway.Query `json:"query"`
	Where     string        `json:"where,omitempty"`
	Rate      int64         `json:"rate,omitempty"`
	NewIDs    bool          `json:"new_ids,omitempty"`
}

// ErrUnknown says that there is no forwarder, or no replay, of that name.
var ErrUnknown = errors.New("not known")

// What TurnReplay takes.
const (
	ReplayPause  = "pause"
	ReplayResume = "resume"
	ReplayCancel = "cancel"
)

const maxRequest = 64 << 10

// deliveryRoutes adds what is about delivery.
func (s *Server) deliveryRoutes(mux *http.ServeMux) {
	if s.o.Delivery == nil {
		return
	}
	d := s.o.Delivery
	mux.HandleFunc("GET /v1/deadletters", s.stream(s.listLetters))
	mux.HandleFunc("POST /v1/deadletters/requeue", s.stream(letterAction(d.Requeue)))
	mux.HandleFunc("POST /v1/deadletters/drop", s.stream(letterAction(d.Drop)))
	mux.HandleFunc("POST /v1/replays", func(w http.ResponseWriter, r *http.Request) {
		var request ReplayRequest
		if readRequest(w, r, &request) {
			status, err := d.Replay(r.Context(), request)
			reply(w, status, err)
		}
	})
	mux.HandleFunc("POST /v1/replays/{forwarder}/{id}/{action}", func(w http.ResponseWriter, r *http.Request) {
		status, err := d.TurnReplay(r.Context(), r.PathValue("forwarder"), r.PathValue("id"), r.PathValue("action"))
		reply(w, status, err)
	})
	mux.HandleFunc("GET /v1/trace", s.stream(func(l *lines, r *http.Request) {
		trace, err := d.Trace(r.Context(), r.URL.Query().Get("event"))
		l.reply(trace, err)
	}))
	mux.HandleFunc("POST /v1/reload", s.stream(func(l *lines, r *http.Request) {
		done, err := d.Reload(r.Context())
		l.reply(done, err)
	}))
	mux.HandleFunc("DELETE /v1/forwarders/{name}", func(w http.ResponseWriter, r *http.Request) {
		reply(w, struct{}{}, d.Forget(r.Context(), r.PathValue("name")))
	})
}

// reply answers with v, or with err by its kind.
func reply(w http.ResponseWriter, v any, err error) {
	switch {
	case err == nil:
		answer(w, http.StatusOK, v)
	case errors.Is(err, ErrUnknown), errors.Is(err, ErrNoEvent):
		fail(w, http.StatusNotFound, err)
	case errors.Is(err, gateway.ErrFull):
		fail(w, http.StatusInsufficientStorage, err)
	case errors.Is(err, gateway.ErrClosed), errors.Is(err, context.Canceled):
		fail(w, http.StatusServiceUnavailable, err)
	default:
		fail(w, http.StatusBadRequest, err)
	}
}

func readRequest(w http.ResponseWriter, r *http.Request, v any) bool {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		fail(w, http.StatusBadRequest, fmt.Errorf("read the request: %w", err))
		return false
	}
	return true
}

// letterCount is how many dead letters an action was about.
type letterCount struct {
	Letters int `json:"letters"`
}

func letterAction(do func(context.Context, gateway.LetterQuery) (int, error)) func(*lines, *http.Request) {
	return func(l *lines, r *http.Request) {
		var q gateway.LetterQuery
		if l.control.SetReadDeadline(time.Now().Add(answerTimeout)) == nil && readRequest(l.w, r, &q) {
			n, err := do(r.Context(), q)
			l.reply(letterCount{n}, err)
		}
	}
}

// reply answers once, after however long.
func (l *lines) reply(v any, err error) {
	if deadline := l.control.SetWriteDeadline(time.Now().Add(answerTimeout)); deadline == nil {
		reply(l.w, v, err)
	}
}

func (s *Server) listLetters(l *lines, r *http.Request) {
	var q gateway.LetterQuery
	if text := r.URL.Query().Get("q"); text != "" {
		if err := json.Unmarshal([]byte(text), &q); err != nil {
			l.end(r, http.StatusBadRequest, fmt.Errorf("read the query: %w", err))
			return
		}
	}
	l.begin()
	l.end(r, http.StatusInternalServerError, s.o.Delivery.Letters(q, func(letter gateway.DeadLetter) error {
		if err := r.Context().Err(); err != nil {
			return err
		}
		return l.write(append(letter.AppendJSON(nil), '\n'))
	}))
}

// Letters calls fn with the dead letters that q wants.
func (c *Client) Letters(ctx context.Context, q gateway.LetterQuery, fn func(gateway.DeadLetter) error) error {
	text, err := json.Marshal(q)
	if err != nil {
		return fmt.Errorf("write the query: %w", err)
	}
	return c.lines(ctx, http.MethodGet, "/v1/deadletters?q="+url.QueryEscape(string(text)), func(line []byte) error {
		l, err := gateway.ParseLetterJSON(line)
		if err != nil {
			return err
		}
		return fn(l)
	})
}

// Requeue has the dead letters that q wants delivered once more, and returns how many.
func (c *Client) Requeue(ctx context.Context, q gateway.LetterQuery) (int, error) {
	var n letterCount
	err := c.post(ctx, "/v1/deadletters/requeue", q, &n)
	return n.Letters, err
}

// Drop deletes the dead letters that q wants, and returns how many.
func (c *Client) Drop(ctx context.Context, q gateway.LetterQuery) (int, error) {
	var n letterCount
	err := c.post(ctx, "/v1/deadletters/drop", q, &n)
	return n.Letters, err
}

// Replay begins a replay.
func (c *Client) Replay(ctx context.Context, r ReplayRequest) (s gateway.ReplayStatus, err error) {
	err = c.post(ctx, "/v1/replays", r, &s)
	return s, err
}

// TurnReplay pauses, resumes or cancels a replay.
func (c *Client) TurnReplay(ctx context.Context, forwarder, id, action string) (s gateway.ReplayStatus, err error) {
	err = c.post(ctx, "/v1/replays/"+url.PathEscape(forwarder)+"/"+url.PathEscape(id)+"/"+url.PathEscape(action), nil, &s)
	return s, err
}

// Trace says what became of the event with that ID or offset.
func (c *Client) Trace(ctx context.Context, event string) (t gateway.Trace, err error) {
	err = c.get(ctx, "/v1/trace?event="+url.QueryEscape(event), &t)
	return t, err
}

// Reload has the gateway read its configuration again.
func (c *Client) Reload(ctx context.Context) (r gateway.Reloaded, err error) {
	err = c.post(ctx, "/v1/reload", nil, &r)
	return r, err
}

// Forget gives up the place of a forwarder that is not in the configuration.
func (c *Client) Forget(ctx context.Context, forwarder string) error {
	body, err := c.call(ctx, http.MethodDelete, "/v1/forwarders/"+url.PathEscape(forwarder), nil)
	if err != nil {
		return err
	}
	return body.Close()
}

// post sends v as JSON and reads the answer into out.
func (c *Client) post(ctx context.Context, path string, v, out any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write the request: %w", err)
	}
	body, err := c.call(ctx, http.MethodPost, path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	return c.decode(body, out)
}

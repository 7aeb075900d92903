package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"

	"gateway"
)

// Client asks a running gateway, through the socket in its data directory. Safe for concurrent use; it keeps no connection.
//
// Errors wrap ErrNotRunning where no gateway answers, and fs.ErrPermission where the socket is for others.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient makes a client of the gateway whose socket that is: SocketName in its data directory.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return dialSocket(ctx, socket) }
	return &Client{socket, &http.Client{Transport: &http.Transport{
		DialContext: dial, DisableKeepAlives: true, DisableCompression: true,
		ResponseHeaderTimeout: 0, // an import answers when it is done
	}}}
}

// Status is a snapshot of the gateway.
func (c *Client) Status(ctx context.Context) (Status, error) {
	// Not longer than the server takes for a short answer: a gateway that hangs must not hang those who look at it.
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var st Status
	return st, c.get(ctx, "/v1/status", &st)
}

// Event returns the entry at offset; where that is in a gap, the entry that stands for it. The error wraps ErrNoEvent
// where there is none.
func (c *Client) Event(ctx context.Context, offset gateway.Offset) (gateway.Entry, error) {
	body, err := c.call(ctx, http.MethodGet, "/v1/log/events/"+strconv.FormatUint(uint64(offset), 10), nil)
	if err != nil {
		return gateway.Entry{}, err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, maxLine))
	if err != nil {
		return gateway.Entry{}, c.broken(err)
	}
	return gateway.ParseEntryJSON(text)
}

// Events calls fn with the entries that q wants, in order, as the function Events does.
func (c *Client) Events(ctx context.Context, q gateway.Query, fn func(gateway.Entry) error) error {
	text, err := json.Marshal(q)
	if err != nil {
		return fmt.Errorf("write the query: %w", err)
	}
	return c.lines(ctx, http.MethodGet, "/v1/log/events?q="+url.QueryEscape(string(text)), func(line []byte) error {
		e, err := gateway.ParseEntryJSON(line)
		if err != nil {
			return err
		}
		return fn(e)
	})
}

// Import appends the events of r, CloudEvents as JSON lines, and returns how many are in the log for good. An error
// says which line it is about.
func (c *Client) Import(ctx context.Context, r io.Reader) (n int, err error) {
	body, err := c.call(ctx, http.MethodPost, "/v1/log/events", io.NopCloser(r)) // r stays open
	if failed := (*answerError)(nil); errors.As(err, &failed) {
		return failed.Imported, err
	}
	if err != nil {
		return 0, err
	}
	var done importAnswer
	err = c.decode(body, &done)
	return done.Imported, err
}

// Verify lets the gateway read its log, and returns what is wrong with it.
func (c *Client) Verify(ctx context.Context, progress func(done, total uint64)) (gateway.LogReport, error) {
	var report *gateway.LogReport
	err := c.lines(ctx, http.MethodPost, "/v1/log/verify", func(line []byte) error {
		var in struct {
			progressLine
			Report *gateway.LogReport `json:"report"`
		}
		if err := json.Unmarshal(line, &in); err != nil {
			return c.broken(err)
		}
		if in.Report != nil {
			report = in.Report
		} else if progress != nil {
			progress(in.Done, in.Total)
		}
		return nil
	})
	if err == nil && report == nil {
		err = c.broken(io.ErrUnexpectedEOF)
	}
	if err != nil {
		return gateway.LogReport{}, err
	}
	return *report, nil
}

// Compact lets the gateway give back the space of what was deleted, and returns the bytes on disk before and after.
func (c *Client) Compact(ctx context.Context) (before, after int64, err error) {
	body, err := c.call(ctx, http.MethodPost, "/v1/log/compact", nil)
	if err != nil {
		return 0, 0, err
	}
	var done sizes
	err = c.decode(body, &done)
	return done.Before, done.After, err
}

func (c *Client) get(ctx context.Context, path string, v any) error {
	body, err := c.call(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	return c.decode(body, v)
}

func (c *Client) decode(body io.ReadCloser, v any) error {
	defer body.Close()
	if err := json.NewDecoder(body).Decode(v); err != nil {
		return c.broken(err)
	}
	return nil
}

// lines calls fn with each line of an answer, until it ends, fn returns an error, or a line is one.
func (c *Client) lines(ctx context.Context, method, path string, fn func(line []byte) error) error {
	body, err := c.call(ctx, method, path, nil)
	if err != nil {
		return err
	}
	defer body.Close()
	in := bufio.NewScanner(body)
	in.Buffer(make([]byte, 64<<10), maxLine)
	for in.Scan() {
		if failed := errorOf(in.Bytes()); failed != nil {
			return failed
		}
		if err := fn(in.Bytes()); err != nil {
			return err
		}
	}
	if err := in.Err(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return c.broken(err)
	}
	return nil
}

// answerError is an error that the gateway answered with.
type answerError struct {
	errorAnswer
	code int
}

func (a *answerError) Error() string { return a.errorAnswer.Error }

// Is makes errors.Is find the sentinels.
func (a *answerError) Is(target error) bool {
	return target == ErrNoEvent && a.code == http.StatusNotFound || target == gateway.ErrFull && a.code == http.StatusInsufficientStorage
}

// errorOf is what a line says that ends a stream with an error, nil for any other.
func errorOf(line []byte) error {
	const mark = `{"error":`
	if len(line) < len(mark) || string(line[:len(mark)]) != mark {
		return nil
	}
	failed := &answerError{}
	if json.Unmarshal(line, &failed.errorAnswer) != nil {
		return nil
	}
	return failed
}

// call sends a request and returns the body of a good answer.
func (c *Client) call(ctx context.Context, method, path string, body io.Reader) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://gateway"+path, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", contentTypeNDJSON)
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, c.refused(ctx, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	failed := &answerError{code: resp.StatusCode}
	if json.NewDecoder(io.LimitReader(resp.Body, maxLine)).Decode(&failed.errorAnswer) != nil {
		failed.errorAnswer.Error = "the gateway answered " + resp.Status
	}
	return nil, failed
}

// refused takes the URL, which nobody asked for, out of err.
func (c *Client) refused(ctx context.Context, err error) error {
	if ctx.Err() == context.Canceled {
		return ctx.Err()
	}
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if wrapped := (*net.OpError)(nil); errors.As(err, &wrapped) && wrapped.Op == "dial" {
		return err
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the gateway at %s does not answer: %w", c.socket, err)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Errorf("the gateway at %s closed the connection: it is stopping, or too many ask at once: try again", c.socket)
	}
	return err
}

func (c *Client) broken(err error) error {
	return fmt.Errorf("the answer of the gateway at %s broke off: %w", c.socket, err)
}

package main

import (
	"context"
	"errors"
	"io"
	"path/filepath"

	"gateway"
	"gateway/admin"
)

// logAccess is a log to look into: that of a running gateway, or an opened directory.
type logAccess interface {
	Status(ctx context.Context) (gateway.LogStatus, error)
	// Events and Event are as in package admin.
	Events(ctx context.Context, q gateway.Query, fn func(gateway.Entry) error) error
	Event(ctx context.Context, offset gateway.Offset) (gateway.Entry, error)
	// Import appends CloudEvents as JSON lines, and returns how many are in the log for good.
	Import(ctx context.Context, lines io.Reader) (n int, err error)
	// Compact returns the bytes on disk before and after.
	Compact(ctx context.Context) (before, after int64, err error)
	Close() error
}

// logPlace is the log that a verb is about.
type logPlace struct {
	dir    string
	client *admin.Client // nil: no gateway runs
}

func (p *logPlace) running() bool { return p.client != nil }

// find looks where the log is, and whether its gateway runs.
func (v *logVerbs) find(ctx context.Context) (*logPlace, error) {
	dir, err := v.where.resolve()
	if err != nil {
		return nil, err
	}
	client := admin.NewClient(filepath.Join(dir, admin.SocketName))
	_, err = client.Status(ctx)
	switch {
	case errors.Is(err, admin.ErrNotRunning):
		return &logPlace{dir, nil}, nil
	case err != nil:
		return nil, err
	}
	return &logPlace{dir, client}, nil
}

// with calls do with the log: that of the running gateway, or the directory, opened so that nothing of it changes.
func (v *logVerbs) with(ctx context.Context, do func(place *logPlace, log logAccess) error) error {
	place, err := v.find(ctx)
	if err != nil {
		return err
	}
	var log logAccess = runningLog{place.client}
	if !place.running() {
		if log, err = v.openToRead(place.dir); err != nil {
			return err
		}
	}
	return errors.Join(do(place, log), log.Close())
}

// withWritable is with for what changes the log.
func (v *logVerbs) withWritable(ctx context.Context, do func(place *logPlace, log logAccess) error) error {
	place, err := v.find(ctx)
	if err != nil {
		return err
	}
	var log logAccess = runningLog{place.client}
	if !place.running() {
		if log, err = v.openToWrite(place.dir); err != nil {
			return err
		}
	}
	return errors.Join(do(place, log), log.Close())
}

// runningLog is the log of a running gateway.
type runningLog struct{ *admin.Client }

// Status implements logAccess.
func (l runningLog) Status(ctx context.Context) (gateway.LogStatus, error) {
	st, err := l.Client.Status(ctx)
	return st.Log, err
}

// Close implements logAccess.
func (l runningLog) Close() error { return nil }

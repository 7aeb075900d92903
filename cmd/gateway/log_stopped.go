package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"gateway"
	"gateway/admin"
	"gateway/buffer"
	"gateway/configs"
)

// stoppedLog is the log of a gateway that does not run.
type stoppedLog struct {
	log *buffer.Log
	dir string
	// bound is how large the log may get by an import, in bytes; written says that it was opened to be changed.
	bound   int64
	written bool
}

// options are those of the gateway whose log is in dir, as far as the flags name its configuration.
func (v *logVerbs) options(dir string) (buffer.Options, error) {
	cfg := configs.Default()
	if v.where.config != "" {
		var err error
		if cfg, err = configs.Load(v.where.config); err != nil {
			return buffer.Options{}, asUsage(err)
		}
	}
	cfg.DataDir = dir
	return logOptions(cfg), nil
}

// openToRead opens a snapshot of the log in dir.
func (v *logVerbs) openToRead(dir string) (logAccess, error) {
	if !hasLog(dir) {
		return nil, noLog(dir)
	}
	o, err := v.options(dir)
	if err != nil {
		return nil, err
	}
	log, err := buffer.Open(readOnly(o))
	if err != nil {
		return nil, openError(dir, err)
	}
	return &stoppedLog{log: log, dir: dir}, nil
}

// forever is longer than anything is kept.
const forever = 100 * 365 * 24 * time.Hour

// openToWrite opens the log in dir so that nothing of it is deleted by opening it: how long events are kept is the
// business of the gateway that has the configuration.
func (v *logVerbs) openToWrite(dir string) (logAccess, error) {
	if !hasLog(dir) {
		return nil, noLog(dir)
	}
	o, err := v.options(dir)
	if err != nil {
		return nil, err
	}
	bound := o.MaxSize
	o.MaxSize, o.MaxAge, o.KeepDelivered, o.DropOldest, o.CommitInterval = boundless(), 0, forever, false, 0
	log, err := buffer.Open(o)
	if err != nil {
		return nil, openError(dir, err)
	}
	return &stoppedLog{log: log, dir: dir, bound: bound, written: true}, nil
}

// boundless is the largest bound of a log. On 32 bits that is what every log has at most.
func boundless() int64 {
	if strconv.IntSize == 32 {
		return 1 << 30
	}
	return math.MaxInt64 / 64
}

func noLog(dir string) error {
	return fmt.Errorf("there is no log in %s: say where the data of the gateway is with --data-dir or --config", dir)
}

// openError says what to do about a log that does not open.
func openError(dir string, err error) error {
	switch {
	case errors.Is(err, buffer.ErrInUse):
		return fmt.Errorf("%w: that process does not answer at %s in it; wait until it has started or ended, or stop it", err, admin.SocketName)
	case errors.Is(err, buffer.ErrCorrupt):
		return fmt.Errorf("%w: gateway log verify --data-dir %s shows what is wrong, gateway log repair --data-dir %s keeps what is right", err, dir, dir)
	}
	return err
}

// Status implements logAccess.
func (l *stoppedLog) Status(context.Context) (gateway.LogStatus, error) { return l.log.Status(), nil }

// Events implements logAccess.
func (l *stoppedLog) Events(ctx context.Context, q gateway.Query, fn func(gateway.Entry) error) error {
	return admin.Events(ctx, readableLog{l.log}, q, fn)
}

// Event implements logAccess.
func (l *stoppedLog) Event(ctx context.Context, offset gateway.Offset) (gateway.Entry, error) {
	return admin.Event(ctx, readableLog{l.log}, offset)
}

// Import implements logAccess. It never makes room by deleting what is there.
func (l *stoppedLog) Import(ctx context.Context, lines io.Reader) (int, error) {
	n, _, err := admin.Import(ctx, func(ctx context.Context, events ...gateway.Event) (gateway.Offset, error) {
		if l.log.Status().Bytes >= l.bound {
			return 0, fmt.Errorf("%w: it has %s, the bound is %s; see buffer.max_size, and name the configuration with --config",
				gateway.ErrFull, sizeText(float64(l.log.Status().Bytes)), sizeText(float64(l.bound)))
		}
		return l.log.Append(ctx, events...)
	}, lines)
	return n, err
}

// Compact implements logAccess.
func (l *stoppedLog) Compact(ctx context.Context) (before, after int64, err error) {
	before = l.log.Status().Bytes
	err = l.log.Compact(ctx)
	return before, l.log.Status().Bytes, err
}

// Close implements logAccess.
func (l *stoppedLog) Close() error {
	err := l.log.Close()
	if l.written {
		err = errors.Join(err, giveToOwner(l.dir))
	}
	return err
}

// readableLog is the log as package admin reads it.
type readableLog struct{ *buffer.Log }

// NewReader returns the log's reader as the interface.
func (l readableLog) NewReader(after gateway.Offset) gateway.Reader { return l.Log.NewReader(after) }

package devices

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"gateway"
)

// Types of events of devices. Their data is JSON, their source "//<gateway>/devices/<name>", their subject the device's topic; that of faults has "/fault" behind it.
const (
	EventReading   = "device.reading"   // what a sensor measured
	EventInput     = "device.input"     // the level of an input: at the start, at each edge, and when it is held
	EventCount     = "device.count"     // pulses of an interval and in total
	EventGap       = "device.gap"       // for a time nobody was watching
	EventOverrun   = "device.overrun"   // edges that the kernel had no room for
	EventOutput    = "device.output"    // what an output was set to, and why
	EventFault     = "device.fault"     // the device does not work
	EventRecovered = "device.recovered" // it does again
)

// Device is a device that can run. Status may be called from any goroutine.
type Device interface {
	gateway.Source
	Status() gateway.DeviceStatus
}

// Common is what every device is given.
type Common struct {
	// Gateway is the gateway's id, for the source of events.
	Gateway string
	// Logger has the device's name attached.
	Logger *slog.Logger
	// Synced says whether the wall clock is right. While it is not, events get the log's own time, which is corrected when it is; nil: always right.
	Synced func() bool
}

// reporter makes the events of a device and appends them. It belongs to one goroutine.
type reporter struct {
	spec    *Spec
	gateway string
	synced  func() bool
	logger  *slog.Logger
	out     gateway.Appender
	full    bool // the log was, at the last attempt
}

// newReporter makes one that appends to out; out may be set later.
func newReporter(s *Spec, c *Common, out gateway.Appender) *reporter {
	return &reporter{spec: s, gateway: c.Gateway, synced: c.Synced, logger: c.Logger, out: out}
}

// fullPause is how long a device waits with an event that a full log did not take.
const fullPause = time.Second

// topic is the subject of the device's events.
func (s *Spec) topic() string {
	if s.Topic != "" {
		return s.Topic
	}
	return "devices/" + s.Name
}

// source is the CloudEvents source of a device's events.
func sourceOf(gatewayID, name string) string { return "//" + escapeID(gatewayID) + "/devices/" + name }

// event makes one of the given type; data is what encoding/json makes of it. at may be zero: when the log receives it.
func (r *reporter) event(kind string, at time.Time, data any) gateway.Event {
	if r.synced != nil && !r.synced() {
		at = time.Time{}
	}
	topic := r.spec.topic()
	if kind == EventFault || kind == EventRecovered {
		topic += "/fault"
	}
	return gateway.Event{
		Source: sourceOf(r.gateway, r.spec.Name), Type: kind, Subject: topic, Time: at,
		DataContentType: "application/json", Data: encode(data),
	}
}

// append waits until the log has taken the events, for as long as it is full. Its error is the log's or ctx's, and final.
func (r *reporter) append(ctx context.Context, events ...gateway.Event) error {
	for {
		_, err := r.out.Append(ctx, events...)
		if !errors.Is(err, gateway.ErrFull) {
			if err == nil && r.full {
				r.full = false
				r.logger.Info("the log takes events again")
			}
			return err
		}
		if !r.full {
			r.full = true
			r.logger.Warn("the log is full: the device waits", "error", err)
		}
		if !pause(ctx, fullPause) {
			return ctx.Err()
		}
	}
}

// pause waits for d, and returns false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

package demo

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"gateway/devices"
)

const (
	sensorWindow    = 50 // what a sensor has on the way at most; it measures nothing new beyond
	sensorReconnect = 200 * time.Millisecond
)

// sensor is a device: it measures, publishes with QoS 1, and keeps each reading until the gateway has acknowledged it.
type sensor struct {
	index    int
	device   *devices.Simulated
	addr     string
	interval time.Duration
	book     *book

	pending []publish // oldest first
	last    atomic.Pointer[[]devices.Reading]
	waiting atomic.Int64 // len(pending), for others
}

// publish is a reading on its way. token is nil while it is not sent on the connection that there is.
type publish struct {
	seq     int
	payload []byte
	token   paho.Token
}

// run publishes until stop ends, then waits for what is unacknowledged, and gives up when ctx ends. It reconnects for ever.
func (s *sensor) run(ctx, stop context.Context) {
	ticks := time.NewTicker(s.interval)
	defer ticks.Stop()
	for ctx.Err() == nil && (stop.Err() == nil || len(s.pending) > 0) {
		link, err := dial(ctx, s.addr, s.device.Name())
		if err != nil {
			s.offline(ctx, stop, ticks.C)
			continue
		}
		s.converse(ctx, stop, link, ticks.C)
		s.settle()
		link.close()
	}
}

// offline goes on measuring until it is time to try to connect again.
func (s *sensor) offline(ctx, stop context.Context, ticks <-chan time.Time) {
	again := time.NewTimer(sensorReconnect)
	defer again.Stop()
	for {
		select {
		case now := <-s.due(stop, ticks):
			s.measure(now)
		case <-again.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// converse uses one connection for as long as it lasts. Whatever was measured before goes first, in order.
func (s *sensor) converse(ctx, stop context.Context, link *link, ticks <-chan time.Time) {
	for i := range s.pending {
		s.send(link, &s.pending[i])
	}
	for stop.Err() == nil || len(s.pending) > 0 {
		var acked, stopped <-chan struct{}
		if len(s.pending) > 0 {
			acked = s.pending[0].token.Done()
		}
		if stop.Err() == nil {
			stopped = stop.Done()
		}
		select {
		case now := <-s.due(stop, ticks):
			s.send(link, s.measure(now))
		case <-acked:
			if s.pending[0].token.Error() != nil {
				return
			}
			s.settle()
		case <-stopped:
		case <-link.lost:
			return
		case <-ctx.Done():
			return
		}
	}
}

// due returns ticks, or nil while nothing is to be measured.
func (s *sensor) due(stop context.Context, ticks <-chan time.Time) <-chan time.Time {
	if stop.Err() != nil || len(s.pending) >= sensorWindow {
		return nil
	}
	return ticks
}

// measure takes a reading and keeps it until it is acknowledged.
func (s *sensor) measure(now time.Time) *publish {
	readings := s.device.Read(now)
	s.last.Store(&readings)
	seq := s.book.next(s.index)
	s.pending = append(s.pending, publish{seq: seq, payload: payload(s.device.Name(), seq, now, readings)})
	s.waiting.Store(int64(len(s.pending)))
	return &s.pending[len(s.pending)-1]
}

func (s *sensor) send(link *link, p *publish) {
	s.book.sending(s.index, p.seq)
	p.token = link.client.Publish("greenhouse/"+s.device.Name(), 1, false, p.payload)
}

// settle takes out what was acknowledged.
func (s *sensor) settle() {
	s.pending = slices.DeleteFunc(s.pending, func(p publish) bool {
		select {
		case <-p.token.Done():
		default:
			return false
		}
		if p.token.Error() != nil {
			return false
		}
		s.book.acknowledged(s.index, p.seq)
		return true
	})
	s.waiting.Store(int64(len(s.pending)))
}

// payload is what the sensor says: JSON with units of UCUM.
func payload(device string, seq int, now time.Time, readings []devices.Reading) []byte {
	text := fmt.Appendf(nil, `{"device":%q,"seq":%d,"time":%q,"values":{`, device, seq, now.UTC().Format("2006-01-02T15:04:05.000Z07:00"))
	for i, r := range readings {
		if i > 0 {
			text = append(text, ',')
		}
		text = fmt.Appendf(text, `%q:{"value":`, r.Quantity)
		text = strconv.AppendFloat(text, r.Value, 'f', -1, 64)
		text = fmt.Appendf(text, `,"unit":%q}`, r.Unit)
	}
	return append(text, "}}"...)
}

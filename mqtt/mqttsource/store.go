package mqttsource

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gateway"
	"gateway/mqtt"
)

// Pauses while the log is full.
const (
	fullMin = 10 * time.Millisecond
	fullMax = time.Second
)

// errLost says that the connection ended while its messages waited for room in the log.
var errLost = errors.New("connection lost")

// keeper stores the messages of one connection.
type keeper struct {
	*Source
	out  gateway.Appender
	ctx  context.Context // for appends: it outlives the source's own by drainTime, so that an append is not left in doubt
	lost <-chan struct{} // waiting for room ends with the connection, whose broker then has the messages
}

// keep stores what is to be stored of batch, in one append, and then acknowledges all of it in its order. An error
// means that none was acknowledged.
func (k *keeper) keep(batch []message) error {
	events := make([]gateway.Event, 0, len(batch))
	fresh := map[key]bool{} // of this batch
	for i := range batch {
		if e, ok := k.judge(&batch[i], fresh); ok {
			events = append(events, e)
		}
	}
	if err := k.append(events); err != nil {
		return err
	}
	for i := range batch {
		if batch[i].ack != nil {
			batch[i].ack() // everything before it is durable, and so is this
		}
	}
	return nil
}

// judge makes an event of m, or counts why it is not to be stored.
func (k *keeper) judge(m *message, fresh map[key]bool) (gateway.Event, bool) {
	if m.tooLarge {
		return gateway.Event{}, false // counted when it was read
	}
	if m.retained && !k.o.Retained || !k.wanted(m.topic) {
		k.change(func(st *Status) { st.Ignored++ })
		return gateway.Event{}, false
	}
	e := k.events.Event(k.o.Prefix+m.topic, m.payload, m.qos, m.retained, k.o.CloudEvents)
	if k.o.Accept != nil && !k.o.Accept(&e) {
		k.change(func(st *Status) { st.Looped++ })
		return gateway.Event{}, false
	}
	if e.ID != "" { // a raw payload's source says where it was made
		e.Pass(gateway.Identity{ID: k.o.Gateway, Log: k.o.LogID})
	}
	if e.ID == "" || k.o.Remember == 0 {
		return e, true
	}
	id := keyOf(&e)
	if k.seen.contains(id) || fresh[id] {
		k.change(func(st *Status) { st.Duplicates++ })
		return gateway.Event{}, false
	}
	fresh[id] = true
	return e, true
}

// wanted says whether the topic is one that is subscribed to.
func (s *Source) wanted(topic string) bool {
	for _, filter := range s.filters {
		if gateway.MatchTopic(filter, topic) {
			return true
		}
	}
	return false
}

// append returns when the events are durable, or refused for good. What was gathered into one append is our doing, so
// where the log can never take it, it is offered in halves until those are found that are too large by themselves.
func (k *keeper) append(events []gateway.Event) error {
	if len(events) == 0 {
		return nil
	}
	err := k.insist(events)
	switch {
	case err == nil:
		k.stored(events)
		return nil
	case !errors.Is(err, gateway.ErrPermanent):
		return err
	case len(events) == 1:
		k.refuse(events[0].Topic(), len(events[0].Data))
		return nil
	}
	if err := k.append(events[:len(events)/2]); err != nil {
		return err
	}
	return k.append(events[len(events)/2:])
}

func (k *keeper) stored(events []gateway.Event) {
	k.change(func(st *Status) { st.Stored += uint64(len(events)) })
	for i := range events {
		if events[i].ID != "" {
			k.seen.add(keyOf(&events[i]))
		}
	}
}

// insist offers the events again and again while the log is full.
func (k *keeper) insist(events []gateway.Event) error {
	wait := fullMin
	for {
		_, err := k.out.Append(k.ctx, events...)
		if !errors.Is(err, gateway.ErrFull) {
			k.full(false)
			if err != nil {
				return fmt.Errorf("append %d events: %w", len(events), err)
			}
			return nil
		}
		k.full(true)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
			wait = min(2*wait, fullMax)
			continue
		case <-k.lost:
			err = errLost
		case <-k.stop:
			err = errLost
		}
		timer.Stop()
		return err
	}
}

// recall remembers the IDs of the newest CloudEvents that this source stored before, as far as the log has them at hand.
func (s *Source) recall() {
	if s.o.Recent == nil || s.o.Remember == 0 || !s.o.CloudEvents {
		return
	}
	err := s.o.Recent(func(e *gateway.Entry, _ uint32) error {
		if e.Event.Extensions[mqtt.ExtClient] == s.uri {
			s.seen.add(keyOf(&e.Event))
		}
		return nil
	})
	if err != nil {
		s.o.Logger.Warn("newest events of the log cannot be read: what the broker sends again now is stored again", "error", err)
	}
}

package mqttsource

import (
	"slices"
	"strconv"
	"testing"

	"gateway"
	"gateway/internal/gatewaytest"
	"gateway/mqtt"
)

func numbers(first, n int) (list []string) {
	for i := range n {
		list = append(list, strconv.Itoa(first+i))
	}
	return list
}

func TestMessagesBecomeEvents(t *testing.T) {
	t.Parallel()
	m := startMosquitto(t, "allow_anonymous true\n")
	newPublisher(t, m.addr, nil).publish("kitchen/t", true, "retained")
	log := gatewaytest.NewLog()
	o := options(m.addr)
	o.Prefix, o.Topics = "cloud/", []string{"kitchen/#", "cmd"}
	s, _ := run(t, o, log)
	p := newPublisher(t, m.addr, nil)
	p.publish("kitchen/t", false, "21.5")
	p.publish("cmd", false, cloudEvent("7", "true"))
	p.publish("other", false, "not subscribed to")
	stored(t, log, 2)
	raw, own := events(log)[0], events(log)[1]
	if raw.Source != "//pi/source/up" || raw.Subject != "cloud/kitchen/t" || string(raw.Data) != "21.5" ||
		raw.Type != mqtt.TypePublish || raw.DataContentType != "application/json" || raw.ID != "" {
		t.Errorf("raw payload: got %+v", raw)
	}
	if own.ID != "7" || own.Source != "//plant/a" || own.Type != "cmd" || own.Topic() != "cloud/cmd" || string(own.Data) != "true" {
		t.Errorf("CloudEvent: got %+v", own)
	}
	if got := s.Status(); got.Stored != 2 || got.Ignored != 1 || got.Received != 3 {
		t.Errorf("got %+v, want 2 stored and the retained message ignored", got)
	}
}

func TestRetainedMessagesAreTakenInWhereThatIsWanted(t *testing.T) {
	t.Parallel()
	m := startMosquitto(t, "allow_anonymous true\n")
	newPublisher(t, m.addr, nil).publish("kitchen/t", true, "retained")
	log := gatewaytest.NewLog()
	o := options(m.addr)
	o.Retained = true
	run(t, o, log)
	stored(t, log, 1)
	if e := events(log)[0]; string(e.Data) != "retained" || e.Extensions[gateway.ExtRetain] != "true" {
		t.Errorf("got %+v, want the retained message, marked", e)
	}
}

func TestLoopedEventsAreAcknowledgedAndNotStored(t *testing.T) {
	t.Parallel()
	m := startMosquitto(t, "allow_anonymous true\n")
	log, o := gatewaytest.NewLog(), options(m.addr)
	o.Accept = func(e *gateway.Event) bool { return e.Source != "//plant/a" }
	s, stop := run(t, o, log)
	p := newPublisher(t, m.addr, nil)
	p.publish("t", false, "1", cloudEvent("1", "true"), "2")
	if got := stored(t, log, 2); !slices.Equal(got, []string{"1", "2"}) || s.Status().Looped != 1 {
		t.Errorf("got %q and %+v, want 1 and 2 stored, and one looped", got, s.Status())
	}
	stop()
	s, _ = run(t, o, log)
	p.publish("t", false, "3")
	stored(t, log, 3)
	if got := s.Status(); got.Looped != 0 || got.Received != 1 {
		t.Errorf("got %+v: the looped event came again", got)
	}
}

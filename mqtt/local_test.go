package mqtt

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"gateway"
)

// localEntries are events of one topic whose data are their numbers, from first.
func localEntries(topic string, first, n int) []gateway.Entry {
	list := make([]gateway.Entry, n)
	for i := range list {
		data := fmt.Sprint(first + i)
		list[i] = gateway.Entry{Offset: gateway.Offset(first + i + 1),
			Event: gateway.Event{ID: data, Source: "//up", Type: "cmd", Subject: topic, Data: []byte(data)}}
	}
	return list
}

func newLocal(t *testing.T, b *Broker, change func(*LocalOptions)) gateway.Sink {
	t.Helper()
	o := DefaultLocal()
	if change != nil {
		change(&o)
	}
	s, err := b.LocalSink(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// device is a client that subscribes with QoS 1.
func device(t *testing.T, addr string, version byte, h hello, filters ...string) *rawClient {
	t.Helper()
	c := dialRaw(t, addr, version, patience, nil)
	c.connect(h)
	c.subscribe(1, filters...)
	return c
}

func TestLocalSinkDeliversInOrderAndIsNotCaptured(t *testing.T) {
	t.Parallel()
	log := newFakeLog(t)
	b, addr := startBroker(t, Options{RouteQueue: 10}, log)
	away := device(t, addr, 4, hello{id: "away", keep: true}, "cmd/#")
	away.close()
	c := device(t, addr, 4, hello{id: "c"}, "cmd/#")
	const n = 600 // the queue takes 10
	if err := newLocal(t, b, nil).Send(t.Context(), localEntries("cmd/valve", 0, n)); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		r := c.expectMessage(fmt.Sprint(i))
		if r.qos != 1 || r.topic != "cmd/valve" || r.retain {
			t.Fatalf("got %v, want QoS 1 on cmd/valve, not retained", r)
		}
		c.ack(packets.Puback, r.id)
	}
	away = dialRaw(t, addr, 4, patience, nil)
	if !away.connect(hello{id: "away", keep: true}) {
		t.Fatal("the session is gone")
	}
	for i := range n {
		away.ack(packets.Puback, away.expectMessage(fmt.Sprint(i)).id)
	}
	if got := b.Status(); len(log.events()) > 0 || got.Received > 0 || got.Routed != n || got.RouteDropped > 0 {
		t.Errorf("got %d events in the log and %+v, want none, and all routed", len(log.events()), got)
	}
}

func TestLocalSinkTopicsFormatsAndRetain(t *testing.T) {
	t.Parallel()
	b, addr := startBroker(t, Options{}, newFakeLog(t))
	c := device(t, addr, 5, hello{id: "c"}, "#")
	e := gateway.Event{ID: "7", Source: "//up", Type: "cmd", Subject: "valve", DataContentType: "text/plain", Data: []byte("open"),
		Extensions: map[string]string{gateway.ExtTopic: "cloud/cmd", gateway.ExtRetain: "true"}}
	for _, w := range []struct {
		o       LocalOptions
		topic   string
		retains bool
	}{
		{LocalOptions{Topic: "{topic}", Format: FormatRaw, Retain: RetainNever}, "cloud/cmd", false},
		{LocalOptions{Topic: "{prefix}{subject}/set", Prefix: "dev/", Format: FormatRaw, Retain: RetainKeep}, "dev/valve/set", true},
		{LocalOptions{Topic: "fixed", Format: FormatCloudEvents, Retain: RetainAlways}, "fixed", true},
	} {
		s := newLocal(t, b, func(o *LocalOptions) { *o = w.o })
		if err := s.Send(t.Context(), []gateway.Entry{{Offset: 1, Event: e}}); err != nil {
			t.Fatal(err)
		}
		r := c.expect(packets.Publish)
		c.ack(packets.Puback, r.id)
		want, contentType := "open", ""
		if w.o.Format == FormatCloudEvents {
			text, err := e.AppendJSON(nil)
			if err != nil {
				t.Fatal(err)
			}
			want, contentType = string(text), gateway.ContentTypeCloudEventsJSON
		}
		if r.topic != w.topic || r.payload != want || r.props.ContentType != contentType {
			t.Errorf("got %v with content type %q, want %q on %s with %q", r, r.props.ContentType, want, w.topic, contentType)
		}
		late := dialRaw(t, addr, 4, patience, nil)
		late.connect(hello{id: "late"})
		late.subscribe(0, w.topic)
		if w.retains {
			late.expectMessage(want)
		} else {
			late.quiet()
		}
		late.close()
	}
}

func TestLocalSinkRefusesWhatCanNeverBePublished(t *testing.T) {
	t.Parallel()
	b, addr := startBroker(t, Options{MaxPacketSize: 1000}, newFakeLog(t))
	c := device(t, addr, 4, hello{id: "c"}, "#")
	batch := localEntries("ok", 0, 6)
	for i, topic := range map[int]string{1: "a/#", 2: "", 3: "$SYS/x"} {
		batch[i].Event.Subject = topic
	}
	batch[4].Event.Data = []byte(strings.Repeat("x", 1000))
	batch = append(batch, localEntries("ok", 6, 1)...)
	batch[6].Event.Extensions = map[string]string{gateway.ExtExpiry: "2020-01-01T00:00:00Z"}
	err := newLocal(t, b, nil).Send(t.Context(), batch)
	var parts *gateway.BatchError
	if !errors.As(err, &parts) {
		t.Fatalf("got %v, want a BatchError", err)
	}
	for i, want := range []string{"", "wildcards", "empty", "begins with $", "max_packet_size", "", "expired at 2020"} {
		got := parts.Errors[i]
		if want == "" && got != nil || want != "" && (!errors.Is(got, gateway.ErrPermanent) || !strings.Contains(got.Error(), want)) {
			t.Errorf("event %d: got %v, want it permanent and to say %q", i, got, want)
		}
	}
	for _, want := range []string{"0", "5"} {
		c.ack(packets.Puback, c.expectMessage(want).id)
	}
}

func TestLocalSinkAfterTheBrokerOrItselfStopped(t *testing.T) {
	t.Parallel()
	b, err := New(Options{GatewayID: "gw", Listeners: []Listener{{Address: "127.0.0.1:0"}}, Policy: setupPolicy(t, setup{})}, newFakeLog(t))
	if err != nil {
		t.Fatal(err)
	}
	s := newLocal(t, b, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Run(ctx); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		err := s.Send(t.Context(), localEntries("t", 0, 3))
		if !errors.Is(err, gateway.ErrClosed) || errors.Is(err, gateway.ErrPermanent) {
			t.Errorf("got %v, want ErrClosed, to be retried", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestLocalOptionsThatAreWrong(t *testing.T) {
	t.Parallel()
	b, _ := startBroker(t, Options{}, newFakeLog(t))
	for _, c := range []struct {
		change func(*LocalOptions)
		want   string
	}{
		{func(o *LocalOptions) { o.Topic = "" }, "topic"},
		{func(o *LocalOptions) { o.Topic = "a/{nothing}" }, "{nothing} is not known"},
		{func(o *LocalOptions) { o.Topic = "a/{topic" }, "without }"},
		{func(o *LocalOptions) { o.Topic = "a/+/{topic}" }, "wildcards"},
		{func(o *LocalOptions) { o.Topic, o.Prefix = "{prefix}{topic}", "#/" }, "wildcards"},
		{func(o *LocalOptions) { o.Format = "xml" }, `use "raw" or "cloudevents"`},
		{func(o *LocalOptions) { o.Retain = "yes" }, `use "never", "keep" or "always"`},
	} {
		o := DefaultLocal()
		c.change(&o)
		if _, err := b.LocalSink(o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want it to say %q", err, c.want)
		}
	}
}

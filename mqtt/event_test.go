package mqtt

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mochi-mqtt/server/v2/packets"

	"gateway"
)

const testSource = "//gw/mqtt/dev"

func user(pairs ...string) []packets.UserProperty {
	var props []packets.UserProperty
	for i := 0; i+1 < len(pairs); i += 2 {
		props = append(props, packets.UserProperty{Key: pairs[i], Val: pairs[i+1]})
	}
	return props
}

func TestPlainEvents(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in   publish
		want gateway.Event
	}{
		"plain": {
			publish{topic: "a/b", payload: []byte("1.5"), qos: 1},
			gateway.Event{Source: testSource, Type: "mqtt.publish", Subject: "a/b", DataContentType: "application/json", Data: []byte("1.5"),
				Extensions: map[string]string{"mqttqos": "1"}},
		},
		"retained, empty": {
			publish{topic: "a/b", qos: 2, retain: true},
			gateway.Event{Source: testSource, Type: "mqtt.publish", Subject: "a/b", Extensions: map[string]string{"mqttqos": "2", "mqttretain": "true"}},
		},
		"will": {
			publish{topic: "a/b", payload: []byte("offline"), will: true},
			gateway.Event{Source: testSource, Type: "mqtt.will", Subject: "a/b", DataContentType: "text/plain", Data: []byte("offline"),
				Extensions: map[string]string{"mqttqos": "0"}},
		},
		"properties": {
			publish{topic: "ask", payload: []byte("?"), qos: 1, v5: true, props: &packets.Properties{
				ContentType: "text/x-question", User: user("b", "1", "a", "\"\\\n\u0080é", "b", "2"), ResponseTopic: "ans\twer",
				CorrelationData: []byte{0, 255}, MessageExpiryInterval: 60, TopicAlias: 3, TopicAliasFlag: true,
			}},
			gateway.Event{Source: testSource, Type: "mqtt.publish", Subject: "ask", DataContentType: "text/x-question", Data: []byte("?"),
				Extensions: map[string]string{"mqttqos": "1", "mqttresponsetopic": "ans%09wer", "mqttcorrelation": "AP8=", "mqttexpiry": "60",
					"mqttproperties": `[["b","1"],["a","\"\\\u000a\u0080é"],["b","2"]]`}},
		},
		"control characters in the topic": {
			publish{topic: "a/\x01\u0085%é\x7f", payload: []byte("x"), qos: 1},
			gateway.Event{Source: testSource, Type: "mqtt.publish", Subject: "a/%01%C2%85%25é%7F", DataContentType: "text/plain", Data: []byte("x"),
				Extensions: map[string]string{"mqttqos": "1", "mqtttopicbase64": "YS8BwoUlw6l/"}},
		},
		"content type that no attribute may have": {
			publish{topic: "a", payload: []byte("\x00"), v5: true, props: &packets.Properties{ContentType: "a\nb"}},
			gateway.Event{Source: testSource, Type: "mqtt.publish", Subject: "a", DataContentType: "application/octet-stream", Data: []byte("\x00"),
				Extensions: map[string]string{"mqttqos": "0"}},
		},
		"MQTT 3 is never guessed to be a CloudEvent": {
			publish{topic: "a", payload: []byte(`{"specversion":"1.0","id":"1","source":"s","type":"t"}`), qos: 1},
			gateway.Event{Source: testSource, Type: "mqtt.publish", Subject: "a", DataContentType: "application/json",
				Data: []byte(`{"specversion":"1.0","id":"1","source":"s","type":"t"}`), Extensions: map[string]string{"mqttqos": "1"}},
		},
	} {
		got := newMapper("gw", "dev").event(&c.in)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
		if err := got.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if topic := got.Topic(); topic != c.in.topic {
			t.Errorf("%s: got topic %q, want %q", name, topic, c.in.topic)
		}
	}
}

func TestSourceIsEncoded(t *testing.T) {
	t.Parallel()
	for client, want := range map[string]string{
		"dev":      "//my%20gw/mqtt/dev",
		"a/b c?#%": "//my%20gw/mqtt/a%2Fb%20c%3F%23%25",
		"é\x01":    "//my%20gw/mqtt/%C3%A9%01",
	} {
		if got := newMapper("my gw", client).source; got != want {
			t.Errorf("client %q: got %q, want %q", client, got, want)
		}
	}
}

func TestCloudEventsOfDevices(t *testing.T) {
	t.Parallel()
	when := time.Date(2026, 1, 31, 23, 59, 59, 500, time.UTC)
	for name, c := range map[string]struct {
		in   publish
		want gateway.Event
	}{
		"binary": {
			publish{topic: "t/1", payload: []byte("21"), qos: 1, props: &packets.Properties{ContentType: "application/json",
				User: user("specversion", "1.0", "id", "7", "source", "/dev/7", "type", "temp", "time", "2026-02-01T00:59:59.0000005+01:00",
					"dataschema", "urn:x", "rack", "3", "X-Other", "kept", "X-Other", "twice")}},
			gateway.Event{ID: "7", Source: "/dev/7", Type: "temp", Time: when, Subject: "t/1", DataContentType: "application/json", DataSchema: "urn:x", Data: []byte("21"),
				Extensions: map[string]string{"mqttqos": "1", "mqttclient": "dev", "rack": "3", "mqttproperties": `[["X-Other","kept"],["X-Other","twice"]]`}},
		},
		"binary with a subject, and without a content type": {
			publish{topic: "t/1", payload: []byte("21"), retain: true, props: &packets.Properties{
				User: user("specversion", "1.0", "id", "7", "source", "s", "type", "t", "subject", "mine")}},
			gateway.Event{ID: "7", Source: "s", Type: "t", Subject: "mine", Data: []byte("21"),
				Extensions: map[string]string{"mqttqos": "0", "mqttretain": "true", "mqttclient": "dev", "mqtttopic": "t/1"}},
		},
		"binary, content type as a user property": {
			publish{topic: "t", props: &packets.Properties{
				User: user("specversion", "1.0", "id", "7", "source", "s", "type", "t", "datacontenttype", "text/plain")}},
			gateway.Event{ID: "7", Source: "s", Type: "t", Subject: "t", DataContentType: "text/plain",
				Extensions: map[string]string{"mqttqos": "0", "mqttclient": "dev"}},
		},
		"structured": {
			publish{topic: "t/\x02", qos: 2, payload: []byte(`{"specversion":"1.0","id":"7","source":"s","type":"t","data":{"a":1},"mqttqos":"0","mqtttopic":"before","seq":5}`),
				props: &packets.Properties{ContentType: "Application/CloudEvents+JSON; charset=utf-8", User: user("id", "kept")}},
			gateway.Event{ID: "7", Source: "s", Type: "t", Subject: "t/%02", Data: []byte(`{"a":1}`),
				Extensions: map[string]string{"mqttqos": "2", "mqttclient": "dev", "seq": "5", "mqtttopicbase64": "dC8C", "mqttproperties": `[["id","kept"]]`}},
		},
	} {
		got := newMapper("gw", "dev").event(&c.in)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
		if err := got.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if topic := got.Topic(); topic != c.in.topic {
			t.Errorf("%s: got topic %q, want %q", name, topic, c.in.topic)
		}
	}
}

func TestInvalidCloudEventsAreKeptPlain(t *testing.T) {
	t.Parallel()
	good := []string{"specversion", "1.0", "id", "7", "source", "s", "type", "t"}
	binary := func(pairs ...string) *packets.Properties { return &packets.Properties{User: user(pairs...)} }
	structured := &packets.Properties{ContentType: "application/cloudevents+json"}
	for name, c := range map[string]struct {
		props         *packets.Properties
		payload, want string
	}{
		"version":            {binary("specversion", "0.3", "id", "7", "source", "s", "type", "t"), "x", `specversion is "0.3"`},
		"no id":              {binary("specversion", "1.0", "source", "s", "type", "t"), "x", "id is missing"},
		"no source":          {binary("specversion", "1.0", "id", "7", "type", "t"), "x", "source is empty"},
		"no type":            {binary("specversion", "1.0", "id", "7", "source", "s"), "x", "type is empty"},
		"twice":              {binary(append(good, "id", "8")...), "x", "id stands twice"},
		"extension twice":    {binary(append(good, "a", "8", "a", "8")...), "x", "a stands twice"},
		"empty subject":      {binary(append(good, "subject", "")...), "x", "subject is empty"},
		"time":               {binary(append(good, "time", "yesterday")...), "x", `time is "yesterday"`},
		"control character":  {binary(append(good, "a", "\x01")...), "x", "control character"},
		"two types":          {&packets.Properties{ContentType: "a/b", User: user(append(good, "datacontenttype", "c/d")...)}, "x", "differ"},
		"not JSON":           {structured, "hello", "event must be a JSON object"},
		"lacks everything":   {structured, "{}", "specversion is missing"},
		"not UTF-8":          {structured, "\xff", "not valid UTF-8"},
		"unsupported format": {&packets.Properties{ContentType: "application/cloudevents+avro"}, "x", "not supported"},
		"batch":              {&packets.Properties{ContentType: "application/cloudevents-batch+json"}, "[]", "not supported"},
	} {
		got := newMapper("gw", "dev").event(&publish{topic: "a", payload: []byte(c.payload), qos: 1, v5: true, props: c.props})
		if problem := got.Extensions[ExtCloudEventsError]; !strings.Contains(problem, c.want) {
			t.Errorf("%s: got %s %q, want %q in it", name, ExtCloudEventsError, problem, c.want)
		}
		if got.ID != "" || got.Source != testSource || got.Type != TypePublish || got.Subject != "a" || string(got.Data) != c.payload {
			t.Errorf("%s: got %+v, want a plain event", name, got)
		}
		if want := propertiesJSON(c.props.User, nil); got.Extensions[ExtProperties] != want {
			t.Errorf("%s: got properties %q, want all of them kept: %q", name, got.Extensions[ExtProperties], want)
		}
		if err := got.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzEvent: whatever a device sends, the event is valid, keeps the payload or its CloudEvent data, and says its topic.
func FuzzEvent(f *testing.F) {
	f.Add("a/b", []byte("x"), "", "k", "v", "1.0", byte(1), true)
	f.Add("a/\x01", []byte("{}"), "application/cloudevents+json", "specversion", "1.0", "7", byte(0), false)
	f.Add("a\xff", []byte(`{"specversion":"1.0","id":"1","source":"s","type":"t"}`), "application/cloudevents+json", "\x7f", "\x00\xff", "", byte(2), true)
	f.Fuzz(func(t *testing.T, topic string, payload []byte, contentType, key, value, id string, qos byte, v5 bool) {
		p := publish{topic: topic, payload: payload, qos: qos % 3, v5: v5}
		if v5 {
			p.props = &packets.Properties{ContentType: contentType, ResponseTopic: value, CorrelationData: payload,
				User: user("specversion", "1.0", "id", id, "source", value, "type", "t", key, value)}
		}
		shared := maps.Clone(plain(&p))
		got := newMapper("gw", id).event(&p)
		if err := got.Validate(); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
		if got.Topic() != topic {
			t.Errorf("got topic %q, want %q", got.Topic(), topic)
		}
		if got.Source == "//gw/mqtt/"+id && string(got.Data) != string(payload) {
			t.Errorf("got data %q, want %q", got.Data, payload)
		}
		if diff := cmp.Diff(shared, plain(&p)); diff != "" {
			t.Errorf("the shared extensions were changed: %s", diff)
		}
	})
}

func TestPlainEventAllocatesNothing(t *testing.T) {
	m := newMapper("gw", "dev")
	p := publish{topic: "sensors/kitchen", payload: []byte(`{"t":21.5}`), qos: 1, retain: true}
	v5 := p
	v5.props = &packets.Properties{TopicAlias: 1, TopicAliasFlag: true, ContentType: "application/json"}
	var e gateway.Event
	for name, p := range map[string]*publish{"3.1.1": &p, "5": &v5} {
		if got := testing.AllocsPerRun(100, func() { e = m.event(p) }); got != 0 {
			t.Errorf("MQTT %s: got %v allocations, want 0 (%v)", name, got, e.Subject)
		}
	}
}

func BenchmarkEvent(b *testing.B) {
	m := newMapper("gw", "dev")
	p := publish{topic: "sensors/kitchen/temperature", payload: []byte(`{"sensor":"kitchen-temperature","seq":1234567,"value":21.53,"unit":"C","battery":3.01,"ok":true,"note":"within limits, as ever"}`), qos: 1}
	b.ReportAllocs()
	for b.Loop() {
		m.event(&p)
	}
}

package gateway

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEntryJSONComesBack(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 12, 0, 0, 123456000, time.UTC)
	whole := Event{
		ID: "1", Source: "//pi/mqtt/a", Type: "mqtt.publish", Subject: "hall/3", Time: at,
		DataContentType: "application/json", Data: []byte(`{"c": 21.40}`), Extensions: map[string]string{"b": "2"},
	}
	for name, e := range map[string]Entry{
		"cloudevent": {Offset: 7, Received: at, Event: whole},
		"binary":     {Offset: math.MaxUint64, Received: at, Event: Event{ID: "x", Source: "s", Type: "t", Data: []byte{0, 255}}},
		"no source":  {Offset: 1, Received: at, Event: Event{ID: "x", Type: "t", Data: []byte("raw")}},
		"control":    {Offset: 1, Event: Event{ID: "x", Source: "s", Type: "t", Subject: "a\x01b"}},
	} {
		text := e.AppendJSON([]byte("before"))
		text = bytes.TrimPrefix(text, []byte("before"))
		if !json.Valid(text) || bytes.ContainsAny(text, "\n") {
			t.Errorf("%s: got %s, want JSON on one line", name, text)
		}
		got, err := ParseEntryJSON(text)
		if err != nil {
			t.Errorf("%s: %s: %v", name, text, err)
		}
		if diff := cmp.Diff(e, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestEntryJSONOfImpossibleTimes(t *testing.T) {
	t.Parallel()
	far := time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC)
	e := Entry{Offset: 3, Received: far, Event: Event{ID: "x", Source: "s", Type: "t", Time: far, Data: []byte("1")}}
	got, err := ParseEntryJSON(e.AppendJSON(nil))
	if err != nil || got.Offset != 3 || !got.Received.IsZero() || !got.Event.Time.IsZero() || string(got.Event.Data) != "1" {
		t.Errorf("got %+v, %v; want the entry without its times", got, err)
	}
}

func TestParseEntryJSONRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{``, `{}`, `[]`, `{"offset":-1,"event":{}}`, `{"offset":1,"event":{"id":"1"}}`, `{"offset":1`} {
		if e, err := ParseEntryJSON([]byte(text)); err == nil {
			t.Errorf("%s: got %+v, want an error", text, e)
		}
	}
}

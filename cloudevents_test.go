package gateway_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gateway"
)

// reading is what most events look like: a sensor's JSON from the MQTT broker.
func reading() gateway.Event {
	return gateway.Event{
		ID: "7f3a9c1e5b2d4086.1-1000001", Source: "/gateways/greenhouse-1/mqtt/esp32-17", Type: "mqtt.publish",
		Subject: "greenhouse/1/climate", Time: time.Date(2026, 5, 4, 3, 2, 1, 123456000, time.UTC),
		DataContentType: "application/json",
		Data:            []byte(`{"device":"esp32-17","seq":123456,"temperature":{"value":21.37,"unit":"Cel"},"humidity":{"value":63.1,"unit":"%"},"ok":true,"n":1}`),
		Extensions:      map[string]string{"mqttqos": "1", "mqttretain": "false", "bootid": "5f2d1c7e"},
	}
}

func TestAppendJSONIsCanonical(t *testing.T) {
	t.Parallel()
	const attributes = `{"specversion":"1.0","id":"1","source":"/s","type":"t"`
	tests := map[string]struct {
		change func(*gateway.Event)
		want   string
	}{
		"no data": {func(*gateway.Event) {}, attributes + `}`},
		"all attributes, in order": {
			func(e *gateway.Event) {
				e.Subject, e.DataContentType, e.DataSchema = "a/b", "text/plain", "urn:x"
				e.Time = time.Date(2026, 1, 2, 3, 4, 5, 60_000, time.FixedZone("", 3600))
				e.Extensions = map[string]string{"b": "2", "a": "1", "c": ""}
				e.Data = []byte("x")
			},
			attributes + `,"subject":"a/b","time":"2026-01-02T02:04:05.00006Z","datacontenttype":"text/plain","dataschema":"urn:x","a":"1","b":"2","c":"","data":"x"}`,
		},
		"escapes in attributes": {func(e *gateway.Event) { e.Subject = `a"b\cé😀` }, attributes + `,"subject":"a\"b\\cé😀"}`},
		"JSON as it stands":     {data("application/json", `{"b": 1.50, "a":[ ]}`), attributes + `,"datacontenttype":"application/json","data":{"b": 1.50, "a":[ ]}}`},
		"JSON with suffix":      {data("Application/SenML+JSON; charset=utf-8", `[1]`), attributes + `,"datacontenttype":"Application/SenML+JSON; charset=utf-8","data":[1]}`},
		"JSON of several lines": {data("text/json", "\n{\"a\" : \"b \\\" c\",\r\n\t\"d\": [1, 2]}\n"), attributes + `,"datacontenttype":"text/json","data":{"a":"b \" c","d":[1,2]}}`},
		"JSON by default":       {data("", ` 21.5 `), attributes + `,"data":21.5}`},
		"not JSON after all":    {data("application/json", `{"a":1`), attributes + `,"datacontenttype":"application/json","data_base64":"eyJhIjox"}`},
		"JSON of broken UTF-8":  {data("application/json", "\"\xff\""), attributes + `,"datacontenttype":"application/json","data_base64":"Iv8i"}`},
		"unknown and not JSON":  {data("", "on"), attributes + `,"data_base64":"b24="}`},
		"text":                  {data("text/plain", "a\n\"b\"\\\t\r\x00é"), attributes + `,"datacontenttype":"text/plain","data":"a\n\"b\"\\\t\r\u0000é"}`},
		"text, not UTF-8":       {data("text/plain", "\xff"), attributes + `,"datacontenttype":"text/plain","data_base64":"/w=="}`},
		"text of a character set": {
			data("text/plain; format=flowed; charset=\"ISO-8859-1\"", "é"),
			attributes + `,"datacontenttype":"text/plain; format=flowed; charset=\"ISO-8859-1\"","data_base64":"w6k="}`,
		},
		"text in UTF-8": {data("text/csv;charset=UTF-8", "é"), attributes + `,"datacontenttype":"text/csv;charset=UTF-8","data":"é"}`},
		"XML":           {data("application/atom+xml", "<a/>"), attributes + `,"datacontenttype":"application/atom+xml","data":"<a/>"}`},
		"binary":        {data("application/octet-stream", "on"), attributes + `,"datacontenttype":"application/octet-stream","data_base64":"b24="}`},
		"not a suffix":  {data("application/notjson", "1"), attributes + `,"datacontenttype":"application/notjson","data_base64":"MQ=="}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := gateway.Event{ID: "1", Source: "/s", Type: "t"}
			tt.change(&e)
			got, err := e.AppendJSON([]byte("before "))
			if want := "before " + tt.want; err != nil || string(got) != want {
				t.Fatalf("got  %s, error %v\nwant %s", got, err, want)
			}
			if !json.Valid(got[len("before "):]) {
				t.Errorf("encoding/json finds no JSON in %s", got)
			}
		})
	}
}

func data(contentType, payload string) func(*gateway.Event) {
	return func(e *gateway.Event) { e.DataContentType, e.Data = contentType, []byte(payload) }
}

func TestAppendJSONKeepsDeepDataAsBase64(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		depth int
		want  string
	}{{200, `"data":[`}, {201, `"data":[`}, {202, `"data_base64":"`}, {100_000, `"data_base64":"`}} {
		e := reading()
		e.Data = []byte(strings.Repeat("[", tt.depth) + strings.Repeat("]", tt.depth))
		out, err := e.AppendJSON(nil)
		if err != nil || !bytes.Contains(out, []byte(tt.want)) {
			t.Fatalf("depth %d: got %.300s, error %v, want %s", tt.depth, out, err, tt.want)
		}
		back, err := gateway.ParseJSON(out)
		if err != nil || !bytes.Equal(back.Data, e.Data) {
			t.Errorf("depth %d: did not come back: %v", tt.depth, err)
		}
	}
}

func TestAppendJSONRefusesWhatIsNoEvent(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*gateway.Event)
		want   string
	}{
		"no id":             {func(e *gateway.Event) { e.ID = "" }, "id is empty"},
		"no source":         {func(e *gateway.Event) { e.Source = "" }, "source is empty"},
		"no type":           {func(e *gateway.Event) { e.Type = "" }, "type is empty"},
		"control character": {func(e *gateway.Event) { e.Subject = "a\nb" }, "subject has the control character U+000A"},
		"broken UTF-8":      {func(e *gateway.Event) { e.DataSchema = "\xff" }, "dataschema is not valid UTF-8"},
		"extension name":    {func(e *gateway.Event) { e.Extensions = map[string]string{"Bad": ""} }, `extension name "Bad"`},
		"reserved name":     {func(e *gateway.Event) { e.Extensions = map[string]string{"data": ""} }, `"data" is an attribute`},
		"extension value":   {func(e *gateway.Event) { e.Extensions = map[string]string{"a": "\x00"} }, "a has the control character U+0000"},
		"year 10000":        {func(e *gateway.Event) { e.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, "time is outside"},
		"year -1":           {func(e *gateway.Event) { e.Time = time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC) }, "time is outside"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := reading()
			tt.change(&e)
			out, err := e.AppendJSON([]byte("before"))
			if !errors.Is(err, gateway.ErrInvalidEvent) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one that wraps ErrInvalidEvent and has %q", err, tt.want)
			}
			if string(out) != "before" {
				t.Errorf("got %q, want dst as it was", out)
			}
		})
	}
}

func TestAppendJSONAllocatesNothing(t *testing.T) {
	e, dst := reading(), make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { dst, _ = e.AppendJSON(dst[:0]) }); n != 0 {
		t.Errorf("got %v allocations, want none", n)
	}
}

func TestJSONBatch(t *testing.T) {
	t.Parallel()
	for n := range 4 {
		var events []gateway.Event
		for i := range n {
			e := reading()
			e.ID = fmt.Sprint(i)
			events = append(events, e)
		}
		out, err := gateway.AppendJSONBatch([]byte("x"), events)
		if err != nil || !json.Valid(out[1:]) {
			t.Fatalf("%d events: got %s, error %v", n, out, err)
		}
		back, err := gateway.ParseJSONBatch(out[1:])
		if err != nil || len(back) != n || n > 0 && !cmp.Equal(back, events) {
			t.Errorf("%d events: got %v, error %v", n, back, err)
		}
	}
	events := []gateway.Event{reading(), {ID: "1"}}
	out, err := gateway.AppendJSONBatch([]byte("x"), events)
	if !errors.Is(err, gateway.ErrInvalidEvent) || !strings.Contains(err.Error(), "event 2 of 2: ") || string(out) != "x" {
		t.Errorf("got %q, error %v, want the second event named and dst as it was", out, err)
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	e, dst := reading(), make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = e.AppendJSON(dst[:0])
	}
	b.SetBytes(int64(len(dst)))
}

func BenchmarkParseJSON(b *testing.B) {
	e := reading()
	text, err := e.AppendJSON(nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := gateway.ParseJSON(text); err != nil {
			b.Fatal(err)
		}
	}
}

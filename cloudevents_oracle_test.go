package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"gateway"
)

// drawEvent makes valid events of all kinds. Sources and schemas are such as a URL parser leaves alone, because the
// SDK keeps them as URLs.
func drawEvent(t *rapid.T) gateway.Event {
	text := rapid.StringOf(rapid.RuneFrom([]rune("aZ09 /\"\\:é\u00a0\u2028\ufffd\u07ff\u0800日😀")))
	uri := rapid.StringMatching(`[a-z]{1,8}(/[a-z0-9._~-]{1,8}){0,3}`)
	e := gateway.Event{
		ID:         "i" + text.Draw(t, "id"),
		Source:     uri.Draw(t, "source"),
		Type:       "t" + text.Draw(t, "type"),
		Subject:    rapid.SampledFrom([]string{"", "s"}).Draw(t, "subject begins"), // the SDK takes white space for nothing
		Extensions: rapid.MapOfN(rapid.StringMatching(`x[a-z0-9]{0,19}`), text, 0, 12).Draw(t, "extensions"),
	}
	if e.Subject != "" {
		e.Subject += text.Draw(t, "subject")
	}
	if rapid.Bool().Draw(t, "has a time") {
		e.Time = time.Unix(rapid.Int64Range(-62135596800+1, 253402300799).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds")).UTC()
	}
	if rapid.Bool().Draw(t, "has a schema") {
		e.DataSchema = "http://example.com/" + uri.Draw(t, "schema")
	}
	e.DataContentType = rapid.SampledFrom([]string{"", "application/json", "text/json; charset=utf-8", "text/plain", "text/plain;charset=UTF-8", "application/xml", "image/png"}).Draw(t, "type of data")
	e.Data = rapid.OneOf(
		rapid.Custom(func(t *rapid.T) []byte { return []byte(drawJSON(t, 3)) }),
		rapid.Map(rapid.String(), func(s string) []byte { return []byte(s) }),
		rapid.SliceOf(rapid.Byte()),
	).Draw(t, "data")
	if json.Valid(e.Data) { // as JSON it is a value, and white space around it is nothing
		var compact bytes.Buffer
		if err := json.Compact(&compact, e.Data); err != nil {
			t.Fatal(err)
		}
		e.Data = compact.Bytes()
	}
	if len(e.Data) == 0 {
		e.Data = nil
	}
	if len(e.Extensions) == 0 {
		e.Extensions = nil
	}
	return e
}

// drawJSON makes compact JSON.
func drawJSON(t *rapid.T, depth int) string {
	leaf := []any{nil, true, -1, 1.5e-7, 1e21, "", "a\"\\\n\u2028é😀<>&"}
	switch kind := rapid.IntRange(0, 2).Draw(t, "kind"); {
	case kind == 1 && depth > 0:
		return "[" + drawJSON(t, depth-1) + "," + drawJSON(t, depth-1) + "]"
	case kind == 2 && depth > 0:
		return `{"":` + drawJSON(t, depth-1) + `,"a b":` + drawJSON(t, depth-1) + "}"
	}
	text, err := json.Marshal(rapid.SampledFrom(leaf).Draw(t, "leaf"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestEveryEventComesBackFromItsJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := drawEvent(t)
		if err := e.Validate(); err != nil {
			t.Fatalf("the test drew an invalid event: %v", err)
		}
		checkRoundTrip(t, e)
	})
}

func TestTheSDKReadsOurJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := drawEvent(t)
		text, err := want.AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		var theirs event.Event
		if err := json.Unmarshal(text, &theirs); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if err := theirs.Validate(); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		back, err := gateway.ParseJSON(text) // without the white space that the JSON is free to lose
		if err != nil {
			t.Fatal(err)
		}
		want.Data = back.Data
		if diff := cmp.Diff(want, fromSDK(theirs)); diff != "" {
			t.Fatalf("%s: the SDK read (+) instead of (-):\n%s", text, diff)
		}
	})
}

func TestWeReadTheJSONOfTheSDK(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		theirs := event.New()
		want := drawEvent(t)
		toSDK(t, want, &theirs)
		if rapid.Bool().Draw(t, "has a boolean and an integer") {
			theirs.SetExtension("flag", true)
			theirs.SetExtension("number", -5)
			if want.Extensions == nil {
				want.Extensions = map[string]string{}
			}
			want.Extensions["flag"], want.Extensions["number"] = "true", "-5"
		}
		text, err := json.Marshal(theirs)
		if err != nil {
			t.Fatal(err)
		}
		got, err := gateway.ParseJSON(text)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("%s: error %v, got (+) instead of (-):\n%s", text, err, diff)
		}
	})
}

// fromSDK turns an event of the SDK into one of ours.
func fromSDK(theirs event.Event) gateway.Event {
	e := gateway.Event{
		ID: theirs.ID(), Source: theirs.Source(), Type: theirs.Type(), Subject: theirs.Subject(), Time: theirs.Time(),
		DataContentType: theirs.DataContentType(), DataSchema: theirs.DataSchema(), Data: theirs.Data(),
	}
	for name, value := range theirs.Extensions() {
		if e.Extensions == nil {
			e.Extensions = map[string]string{}
		}
		e.Extensions[name] = fmt.Sprint(value)
	}
	return e
}

// toSDK fills theirs from e. The SDK wants to be told which data is binary: what our own rule calls so.
func toSDK(t *rapid.T, e gateway.Event, theirs *event.Event) {
	c := &event.EventContextV1{ID: e.ID, Type: e.Type, Source: *types.ParseURIRef(e.Source)}
	if e.Subject != "" {
		c.Subject = &e.Subject
	}
	if !e.Time.IsZero() {
		c.Time = &types.Timestamp{Time: e.Time}
	}
	if e.DataContentType != "" {
		c.DataContentType = &e.DataContentType
	}
	if e.DataSchema != "" {
		c.DataSchema = types.ParseURI(e.DataSchema)
	}
	for name, value := range e.Extensions {
		if err := c.SetExtension(name, value); err != nil {
			t.Fatal(err)
		}
	}
	theirs.Context = c
	var members map[string]json.RawMessage
	text, err := e.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	theirs.DataEncoded, theirs.DataBase64 = e.Data, members["data_base64"] != nil
}

func BenchmarkSDKMarshal(b *testing.B) {
	e := reading()
	text, err := e.AppendJSON(nil)
	if err != nil {
		b.Fatal(err)
	}
	var theirs event.Event
	if err := json.Unmarshal(text, &theirs); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := theirs.MarshalJSON(); err != nil {
			b.Fatal(err)
		}
	}
}

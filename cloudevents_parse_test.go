package gateway_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gateway"
)

// The examples follow section 3.2 of the JSON event format and what its prose says about them.
func TestParseJSONTakesTheExamplesOfTheSpecification(t *testing.T) {
	t.Parallel()
	common := `"specversion" : "1.0", "type" : "com.example.someevent", "source" : "/mycontext", "id" : "A234-1234-1234",
		"time" : "2018-04-05T17:31:00Z", "comexampleextension1" : "value", "comexampleothervalue" : 5`
	base := gateway.Event{
		ID: "A234-1234-1234", Source: "/mycontext", Type: "com.example.someevent", Time: time.Date(2018, 4, 5, 17, 31, 0, 0, time.UTC),
		Extensions: map[string]string{"comexampleextension1": "value", "comexampleothervalue": "5"},
	}
	tests := map[string]struct{ members, contentType, data string }{
		"binary":            {`, "datacontenttype" : "application/vnd.apache.thrift.binary", "data_base64" : "AAH/"`, "application/vnd.apache.thrift.binary", "\x00\x01\xff"},
		"XML":               {`, "unsetextension": null, "datacontenttype" : "application/xml", "data" : "<much wow=\"xml\"/>"`, "application/xml", `<much wow="xml"/>`},
		"JSON object":       {`, "subject": null, "datacontenttype" : "application/json", "data" : { "a" : "abc", "b" : [true, null] }`, "application/json", `{ "a" : "abc", "b" : [true, null] }`},
		"JSON string":       {`, "data" : "I'm just a string"`, "", `"I'm just a string"`},
		"data comes first":  {`, "data" : "\u00e9\ud83d\ude00\b\f\n\r\t\/\\", "datacontenttype" : "text/plain"`, "text/plain", "é😀\b\f\n\r\t/\\"},
		"explicit null":     {`, "data" : null`, "", "null"},
		"null, not of JSON": {`, "data" : null, "datacontenttype": "text/plain"`, "text/plain", ""},
		"number":            {`, "data" : -1.5e+3 `, "", "-1.5e+3"},
		"base64 of JSON":    {`, "data_base64" : "ICAx", "datacontenttype": "text/json"`, "text/json", "  1"},
		"empty":             {`, "data" : "", "datacontenttype": "text/plain"`, "text/plain", ""},
		"no data":           {`, "data_base64": null`, "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := base
			want.DataContentType = tt.contentType
			if tt.data != "" {
				want.Data = []byte(tt.data)
			}
			text := []byte("\n{" + common + tt.members + "}\n ")
			got, err := gateway.ParseJSON(text)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Fatalf("error %v, got (+) instead of (-):\n%s", err, diff)
			}
			batch, err := gateway.ParseJSONBatch([]byte(" [" + string(text) + "," + string(text) + "] "))
			if diff := cmp.Diff([]gateway.Event{want, want}, batch); err != nil || diff != "" {
				t.Fatalf("batch: error %v, got (+) instead of (-):\n%s", err, diff)
			}
			for i := range text {
				text[i] = 'x'
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the event refers to the text that it came from:\n%s", diff)
			}
		})
	}
}

func TestParseJSONSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	const ok = `"specversion":"1.0","id":"1","source":"/s","type":"t"`
	tests := map[string]struct{ text, want string }{
		"nothing":                 {``, "must be a JSON object"},
		"array":                   {`[]`, "must be a JSON object"},
		"empty object":            {`{}`, "specversion is missing"},
		"broken UTF-8":            {"{" + ok + ",\"a\":\"\xff\"}", "not valid UTF-8"},
		"byte order mark":         {"\ufeff{" + ok + "}", "must be a JSON object"},
		"cut off":                 {`{` + ok, "lacks a comma or closing brace in an object (byte 54)"},
		"cut off in a name":       {`{"specv`, "ends inside a string (byte 7)"},
		"cut off in an escape":    {`{"\`, "unknown escape"},
		"cut off in a value":      {`{"data":tru`, "not a JSON value"},
		"no colon":                {`{"a" 1}`, "lacks a colon"},
		"no name":                 {`{1:1}`, "lacks the opening quote"},
		"comma at the end":        {`{` + ok + `,}`, "lacks the opening quote"},
		"something after it":      {`{` + ok + `} {}`, "goes on after its value"},
		"bad escape":              {`{"\x":1}`, "unknown escape"},
		"bad hex":                 {`{"\u12g4":1}`, "unknown escape"},
		"raw line break":          {"{\"a\":\"\n\"}", "raw control character"},
		"half a pair in a name":   {`{"\ud800":1}`, "half a surrogate pair"},
		"half a pair in a value":  {`{` + ok + `,"a":"\udc00"}`, `"a" has half a surrogate pair`},
		"half a pair in text":     {`{` + ok + `,"datacontenttype":"text/plain","data":"\ud83dx"}`, "data has half a surrogate pair"},
		"two high halves":         {`{` + ok + `,"a":"\ud83d\ud83d"}`, `"a" has half a surrogate pair`},
		"other version":           {`{"specversion":"0.3","id":"1","source":"/s","type":"t"}`, `specversion is "0.3", must be "1.0"`},
		"version is a number":     {`{"specversion":1.0}`, `"specversion" must be a string`},
		"no version":              {`{"id":"1","source":"/s","type":"t"}`, "specversion is missing"},
		"version is null":         {`{"specversion":null,"id":"1","source":"/s","type":"t"}`, "specversion is missing"},
		"no id":                   {`{"specversion":"1.0","source":"/s","type":"t"}`, "id is missing"},
		"id is null":              {`{"specversion":"1.0","id":null,"source":"/s","type":"t"}`, "id is missing"},
		"no source":               {`{"specversion":"1.0","id":"1","type":"t"}`, "source is empty"},
		"no type":                 {`{"specversion":"1.0","id":"1","source":"/s"}`, "type is empty"},
		"empty id":                {`{"specversion":"1.0","id":"","source":"/s","type":"t"}`, "id is empty"},
		"empty subject":           {`{` + ok + `,"subject":""}`, "subject is empty"},
		"subject is a number":     {`{` + ok + `,"subject":1}`, `"subject" must be a string`},
		"control character":       {`{` + ok + `,"subject":"a\u0000"}`, "subject has the control character U+0000"},
		"twice":                   {`{` + ok + `,"id":"1"}`, "id stands twice"},
		"twice, once null":        {`{` + ok + `,"subject":null,"subject":"a"}`, "subject stands twice"},
		"twice, once escaped":     {`{` + ok + `,"i\u0064":"1"}`, "id stands twice"},
		"data twice":              {`{` + ok + `,"data":1,"data":1}`, "data stands twice"},
		"extension twice":         {`{` + ok + `,"a":"1","a":"1"}`, `"a" stands twice`},
		"extension twice, null":   {`{` + ok + `,"a":null,"a":"1"}`, `"a" stands twice`},
		"extension in capitals":   {`{` + ok + `,"aB":"1"}`, `"aB" must be of a-z and 0-9`},
		"null with a bad name":    {`{` + ok + `,"aB":null}`, `"aB" must be of a-z and 0-9`},
		"extension without name":  {`{` + ok + `,"":"1"}`, "must have 1 to 20 characters"},
		"long name":               {`{` + ok + `,"a23456789012345678901":"1"}`, "must have 1 to 20 characters"},
		"extension is an object":  {`{` + ok + `,"a":{}}`, `"a" must be a string, a boolean or an integer`},
		"extension is a fraction": {`{` + ok + `,"a":1.5}`, `"a" is 1.5, must be an integer`},
		"extension is too large":  {`{` + ok + `,"a":2147483648}`, `"a" is 2147483648, must be an integer`},
		"bad time":                {`{` + ok + `,"time":"2018-04-05 17:31:00Z"}`, "must be of RFC 3339"},
		"time with a comma":       {`{` + ok + `,"time":"2018-04-05T17:31:00,5Z"}`, "must be of RFC 3339"},
		"time out of range":       {`{` + ok + `,"time":"9999-12-31T23:59:59-01:00"}`, "outside the years"},
		"data and data_base64":    {`{` + ok + `,"data":null,"data_base64":"AA=="}`, "both data and data_base64"},
		"bad base64":              {`{` + ok + `,"data_base64":"A"}`, "data_base64 is not base64"},
		"base64 with spare bits":  {`{` + ok + `,"data_base64":"AB=="}`, "data_base64 is not base64"},
		"base64 is a number":      {`{` + ok + `,"data_base64":1}`, `"data_base64" must be a string`},
		"text is an object":       {`{` + ok + `,"datacontenttype":"text/plain","data":{}}`, `data of type "text/plain" must be a string`},
		"number with a zero":      {`{` + ok + `,"data":01}`, "lacks a comma"},
		"number without digits":   {`{` + ok + `,"data":-}`, "not a JSON value"},
		"point without digits":    {`{` + ok + `,"data":1.}`, "without digits after its point"},
		"exponent without digits": {`{` + ok + `,"data":1e+}`, "without digits in its exponent"},
		"deep data":               {`{` + ok + `,"data":` + strings.Repeat("[", 1<<20), "nested too deep"},
		"deep objects":            {`{` + ok + `,"data":` + strings.Repeat(`{"":`, 1<<20), "nested too deep"},
		"open array":              {`{` + ok + `,"data":[1`, "lacks a comma or closing bracket"},
		"open object":             {`{` + ok + `,"data":{"a":1`, "lacks a comma or closing brace"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := gateway.ParseJSON([]byte(tt.text))
			if !errors.Is(err, gateway.ErrInvalidEvent) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error that wraps ErrInvalidEvent and has %q", err, tt.want)
			}
			if err != nil && len(err.Error()) > 300 {
				t.Errorf("the error has %d bytes, want what fits a log line", len(err.Error()))
			}
		})
	}
}

func TestParseJSONBatchSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	const ok = `{"specversion":"1.0","id":"1","source":"/s","type":"t"}`
	for text, want := range map[string]string{
		``:                       "must be a JSON array",
		ok:                       "must be a JSON array",
		"[\"\xff\"]":             "not valid UTF-8",
		`[`:                      "event 1: invalid event: an event must be a JSON object",
		`[` + ok + `,]`:          "event 2: invalid event: an event must be a JSON object",
		`[` + ok + `,{}]`:        "event 2: invalid event: specversion is missing",
		`[` + ok:                 "lacks a comma or closing bracket",
		`[` + ok + ` ` + ok:      "lacks a comma or closing bracket",
		`[] x`:                   "goes on after its value",
		`[` + ok + `] ` + `[]`:   "goes on after its value",
		`[[` + ok + `]]`:         "event 1: invalid event: an event must be a JSON object",
		`[` + ok + `,null` + `]`: "event 2: invalid event: an event must be a JSON object",
	} {
		events, err := gateway.ParseJSONBatch([]byte(text))
		if !errors.Is(err, gateway.ErrInvalidEvent) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error that wraps ErrInvalidEvent and has %q", text, err, want)
		}
		if len(events) != 0 {
			t.Errorf("%s: got %d events beside the error", text, len(events))
		}
	}
}

// FuzzParseJSON: nothing panics, what is taken is JSON, and it survives being written and read again.
func FuzzParseJSON(f *testing.F) {
	e := reading()
	text, err := e.AppendJSON(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"specversion":"1.0","id":"\ud83d\ude00","source":"/s","type":"t","subject":null,"n":-0,"b":true,"data":[1 ,"\n"]}`))
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"2018-04-05T17:31:00+02:00","datacontenttype":"text/plain","data":"a\u0000"}`))
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"text/x;charset=x","data_base64":"/w=="}`))
	f.Add([]byte("{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\",\"data\":{\n\"a\" : 1.5e7}}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		first, err := gateway.ParseJSON(text)
		if err != nil {
			if !errors.Is(err, gateway.ErrInvalidEvent) {
				t.Fatalf("%q: got %v, want an error that wraps ErrInvalidEvent", text, err)
			}
			return
		}
		if !json.Valid(text) {
			t.Fatalf("took %q, which is not JSON", text)
		}
		checkRoundTrip(t, first)
	})
}

// checkRoundTrip fails unless e, which is valid, comes back from its JSON, but for the white space of JSON data.
func checkRoundTrip(t interface{ Fatalf(string, ...any) }, e gateway.Event) {
	out, err := e.AppendJSON(nil)
	if err != nil || !json.Valid(out) || bytes.ContainsAny(out, "\r\n") {
		t.Fatalf("%+v became %q, error %v, want one line of JSON", e, out, err)
	}
	back, err := gateway.ParseJSON(out)
	if err != nil {
		t.Fatalf("%s does not parse: %v", out, err)
	}
	if trimmed := bytes.Trim(e.Data, " \t\r\n"); !bytes.Equal(e.Data, back.Data) && !bytes.Equal(trimmed, back.Data) {
		var compact bytes.Buffer
		if err := json.Compact(&compact, e.Data); err != nil || !bytes.Equal(compact.Bytes(), back.Data) {
			t.Fatalf("data %q came back as %q", e.Data, back.Data)
		}
	}
	again, err := back.AppendJSON(nil)
	if err != nil || !bytes.Equal(out, again) {
		t.Fatalf("got %s, error %v, want %s", again, err, out)
	}
	e.Time, e.Data, back.Data = e.Time.UTC(), nil, nil
	if len(e.Extensions) == 0 {
		e.Extensions = nil
	}
	if diff := cmp.Diff(e, back); diff != "" {
		t.Fatalf("came back with a difference:\n%s", diff)
	}
}

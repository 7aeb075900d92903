package gateway_test

import (
	"errors"
	"strings"
	"testing"

	"gateway"
)

func TestEventID(t *testing.T) {
	t.Parallel()
	if got, want := gateway.EventID("7f3a", 2, 18446744073709551615), "7f3a.2-18446744073709551615"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	extension := func(name, value string) func(*gateway.Event) {
		return func(e *gateway.Event) { e.Extensions = map[string]string{name: value} }
	}
	tests := map[string]struct {
		change func(*gateway.Event)
		want   string // in the error; "" for a valid event
	}{
		"reading":               {func(*gateway.Event) {}, ""},
		"no id yet":             {func(e *gateway.Event) { e.ID = "" }, ""},
		"nothing optional":      {func(e *gateway.Event) { *e = gateway.Event{Source: "s", Type: "t"} }, ""},
		"any characters":        {func(e *gateway.Event) { e.Subject = " \"\\é\u00a0\u2028\ufffd日😀~" }, ""},
		"any data":              {func(e *gateway.Event) { e.Data = []byte("\x00\xff") }, ""},
		"extension":             {extension("a2345678901234567890", ""), ""},
		"no source":             {func(e *gateway.Event) { e.Source = "" }, "source is empty"},
		"no type":               {func(e *gateway.Event) { e.Type = "" }, "type is empty"},
		"NUL in id":             {func(e *gateway.Event) { e.ID = "a\x00" }, "id has the control character U+0000"},
		"line break in source":  {func(e *gateway.Event) { e.Source = "a\n" }, "source has the control character U+000A"},
		"DEL in type":           {func(e *gateway.Event) { e.Type = "a\x7f" }, "type has the control character U+007F"},
		"C1 in subject":         {func(e *gateway.Event) { e.Subject = "\u009f" }, "subject has the control character U+009F"},
		"UTF-8 in content type": {func(e *gateway.Event) { e.DataContentType = "\xc3" }, "datacontenttype is not valid UTF-8"},
		"surrogate in schema":   {func(e *gateway.Event) { e.DataSchema = "\xed\xa0\x80" }, "dataschema is not valid UTF-8"},
		"extension's value":     {extension("a", "\t"), "a has the control character U+0009"},
		"extension's UTF-8":     {extension("a", "\xff"), "a is not valid UTF-8"},
		"no name":               {extension("", "x"), "must have 1 to 20 characters"},
		"long name":             {extension("a23456789012345678901", ""), "must have 1 to 20 characters"},
		"capital":               {extension("traceParent", ""), "must be of a-z and 0-9"},
		"hyphen":                {extension("a-b", ""), "must be of a-z and 0-9"},
		"letter é":              {extension("é", ""), "must be of a-z and 0-9"},
		"attribute":             {extension("specversion", ""), "is an attribute of CloudEvents"},
		"data":                  {extension("data", ""), "is an attribute of CloudEvents"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := reading()
			tt.change(&e)
			err := e.Validate()
			checkError(t, "Validate", err, tt.want)
			if err != nil && !errors.Is(err, gateway.ErrInvalidEvent) {
				t.Errorf("got %v, want an error that wraps ErrInvalidEvent", err)
			}
		})
	}
}

// No name of the specification can be an extension, and AppendJSON agrees with Validate about all of them.
func TestNamesOfTheSpecificationAreTaken(t *testing.T) {
	t.Parallel()
	for name := range strings.FieldsSeq("id source specversion type datacontenttype dataschema subject time data data_base64") {
		if err := gateway.ValidExtensionName(name); !errors.Is(err, gateway.ErrInvalidEvent) {
			t.Errorf("ValidExtensionName(%q): got %v, want an error that wraps ErrInvalidEvent", name, err)
		}
		e := reading()
		e.Extensions = map[string]string{name: "x"}
		if _, err := e.AppendJSON(nil); !errors.Is(err, gateway.ErrInvalidEvent) {
			t.Errorf("AppendJSON with the extension %q: got %v, want an error that wraps ErrInvalidEvent", name, err)
		}
	}
}

package mqtt

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSniff(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat(`{"a":[`, n/2) + strings.Repeat("]}", n/2) }
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{" ", typeText},
		{"{}", typeJSON},
		{"[]", typeJSON},
		{" [1 , 2]\r\n", typeJSON},
		{`{"t":21.5,"ok":true,"n":null,"s":"x\u00e9\n","a":[{},[],-1e-3]}`, typeJSON},
		{"21.5", typeJSON},
		{"-0", typeJSON},
		{"true", typeJSON},
		{"null", typeJSON},
		{`"on"`, typeJSON},
		{"on", typeText},
		{"nul", typeText},
		{"01", typeText},
		{"1.", typeText},
		{"1e", typeText},
		{"-", typeText},
		{"{", typeText},
		{"[1,]", typeText},
		{`{"a":1,}`, typeText},
		{`{"a"}`, typeText},
		{`{a:1}`, typeText},
		{`[1}`, typeText},
		{`{"a":1]`, typeText},
		{`{} {}`, typeText},
		{`"\x"`, typeText},
		{`"\u12g4"`, typeText},
		{"21,5 °C\r\n\tok", typeText},
		{"\"a\tb\"", typeText},
		{"\"a\x00b\"", typeBinary},
		{"\"\xff\"", typeBinary}, // encoding/json takes it; it is not UTF-8
		{"\xff\xfe", typeBinary},
		{"a\x7f", typeBinary},
		{"a\u0085", typeBinary},
		{"\x00\x01", typeBinary},
		{deep(64), typeJSON},
		{deep(66), typeJSON},
		{deep(66) + "x", typeText},
		{deep(9000), typeJSON},
		{`{"a":"` + strings.Repeat("é\\n", 1<<16) + `"}`, typeJSON},
		{`{"a":"` + strings.Repeat("x", 1<<17), typeText},
	} {
		if got := sniff([]byte(c.in)); got != c.want {
			t.Errorf("sniff(%.60q): got %q, want %q", c.in, got, c.want)
		}
	}
}

func FuzzSniff(f *testing.F) {
	for _, s := range []string{"", "{}", `{"a":[1,2.5e-3,"x\u0041",true,null,{}]}`, "[[[]]]", `{"a":{"b":[]}}`, "-1", "\"\xff\"", "tru", `{"a" : 1 , "b":[ ]}`, "[,]", "{,}", "[}", "0x1"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, want := isJSON(data), json.Valid(data) && utf8.Valid(data); got != want {
			t.Errorf("isJSON(%q): got %v, want %v", data, got, want)
		}
		if isText(data) && !utf8.Valid(data) {
			t.Errorf("isText(%q): got true, want false: it is not UTF-8", data)
		}
	})
}

func TestSniffAllocatesNothing(t *testing.T) {
	for _, in := range []string{`{"seq":1234567,"t":21.53,"unit":"°C"}`, "plain text", "\x00\x01\x02"} {
		data := []byte(in)
		if got := testing.AllocsPerRun(100, func() { sniff(data) }); got != 0 {
			t.Errorf("sniff(%q): got %v allocations, want 0", in, got)
		}
	}
}

func BenchmarkSniff(b *testing.B) {
	for name, in := range map[string]string{
		"json":   `{"sensor":"kitchen-temperature","seq":1234567,"value":21.53,"unit":"C","battery":3.01,"ok":true,"note":"within limits, as ever"}`,
		"binary": strings.Repeat("\x00\x7f\xa3\x11", 32),
		"text":   strings.Repeat("abcd", 32),
	} {
		data := []byte(in)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				sniff(data)
			}
		})
	}
}
